"""What each page of the portal is for, in one sentence, and where the handbook says more."""

from dataclasses import dataclass
from functools import cached_property

from django.db.models import Model
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class Help:
    """One sentence, a page of the handbook and the part of it that begins with the heading `part`."""

    says: str | Promise
    page: str
    part: str = ""

    @cached_property
    def url(self) -> str:
        address = reverse("admin:handbook_page", args=[self.page])
        return f"{address}#{self.part}" if self.part else address


# By the name of an address, or by what it begins with: the longest that fits counts.
_PAGES = {
    "work": Help(_("What waits for somebody, and how much of it."), "operations", "health"),
    "configuration": Help(_("What is set once and seldom changed."), "access"),
    "search": Help(_("Devices and certificates by the start of a name or number."), "lists", "search"),
    "inventory_device": Help(_("What there is in the field, and how each device stands."), "lists"),
    "inventory_certificate": Help(_("Every certificate, whoever issued it, and until when it holds."), "expiry"),
    "inventory_alert": Help(_("What ends soon or went wrong, until somebody answers."), "alerts"),
    "inventory_alertpolicy": Help(
        _("How long before an end who is warned, and who next if nobody answers."), "alerts", "what-fires-and-when"
    ),
    "inventory_recipient": Help(_("Where warnings go."), "alerts", "who-is-told"),
    "inventory_mute": Help(_("What is not warned of for a while, and why."), "alerts", "who-is-told"),
    "inventory_delivery": Help(_("Warnings as they were sent; some reached nobody."), "alerts", "who-is-told"),
    "inventory_auditevent": Help(_("Who did what, when and why; nothing here is ever changed."), "access"),
    "inventory_expireddevice": Help(
        _("Devices whose certificate ended before the next one came."), "alerts", "expired-is-not-revoked"
    ),
    "inventory_revokeddevice": Help(
        _("Devices that a revocation cut off; a case leads back."), "revocation", "the-way-back-cases"
    ),
    "inventory_case": Help(
        _("A revoked device, looked into by one person and judged by another."), "revocation", "the-way-back-cases"
    ),
    "inventory_proposal": Help(_("Acts that take two people."), "approvals"),
    "inventory_importrun": Help(_("Files of devices and certificates, tried first and then taken in."), "importing"),
    "inventory_columnmapping": Help(_("What the columns of a kind of file mean."), "importing", "columns"),
    "inventory_unexpectedsighting": Help(
        _("What verifiers saw where it should not be."), "sightings", "what-a-sighting-does"
    ),
    "inventory_fleet": Help(_("Devices of one owner, with one profile and one issuer."), "access", "fleets"),
    "inventory_site": Help(_("Where devices stand; also the time zone of their quiet hours."), "campaigns"),
    "inventory_batch": Help(_("Devices that were made together, and tend to fail together."), "expiry", "cliffs"),
    "inventory_profile": Help(_("What certificates of a fleet say and how long they last."), "expiry"),
    "inventory_authority": Help(_("Who signs, under whom, and with what."), "revocation", "crls"),
    "profile_jitter": Help(_("Spreads a production run, so that it does not end on one day."), "expiry",
                           "the-jitter-planner"),
    "renewal_campaign": Help(_("Brings devices to their next certificate before the old one ends."), "campaigns"),
    "renewal_target": Help(_("One device of a campaign: where it stands and what comes next."), "campaigns"),
    "renewal_rehearsal": Help(_("A campaign of a virtual fleet, before the real one."), "campaigns", "what-if"),
    "renewal_workorder": Help(_("Devices that answered on no channel, for the field team."), "field"),
    "renewal_team": Help(_("Who goes to which sites."), "field", "teams"),
    "renewal_devicenote": Help(_("What a technician should know before going there."), "field"),
    "renewal_gateway": Help(_("How messages reach devices: SMS, webhooks, and within which limits."), "channels"),
    "revocation_crl": Help(_("What verifiers fetch to learn what was revoked."), "revocation", "crls"),
    "revoke_certificate": Help(_("Ends a certificate for ever; verifiers learn of it."), "revocation"),
    "certportal_user": Help(_("Who may log in, with which roles and fleets."), "access", "roles"),
    "certportal_apitoken": Help(_("What programs identify themselves with."), "api", "tokens"),
    "auth_group": Help(_("Roles: sets of permissions that people are given."), "access", "roles"),
    "django_rq": Help(_("What the workers do, have done and could not do."), "operations", "when-something-stops"),
}  # fmt: skip


def of_address(name: str) -> Help | None:
    """Return the help of the page at an address of the admin, by the address's name; None if there is none."""
    fits = [key for key in _PAGES if name == key or name.startswith(f"{key}_")]
    return _PAGES[max(fits, key=len)] if fits else None


def of_model(model: type[Model]) -> str | Promise:
    """Return what the list of a model is for; "" if nobody said it."""
    found = of_address(f"{model._meta.app_label}_{model._meta.model_name}_")
    return found.says if found else ""
