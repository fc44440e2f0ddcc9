"""The words of alerts and digests, the same in e-mail, chat and lists."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from inventory.alerts.unexpected_sightings import parts
from inventory.models import AlertKind
from inventory.models.sighting import Oddity


@dataclass(frozen=True)
class Wording:
    """A digest as people read it."""

    subject: str
    lines: list[str]
    url: str

    @property
    def text(self) -> str:
        return "\n".join([*self.lines, "", self.url, ""])


def digest(content: Mapping[str, Any], now: datetime) -> Wording:
    """Put a digest into words: the portal's own first, then counts by threshold, then what ends soonest."""
    lines = [_own(own, now) for own in content["portal"]]
    if lines:
        lines = [_("First of all:"), *(f"- {line}" for line in lines), ""]
    for line in content["devices"]:
        lines.append(_devices(line))
    if content["soonest"]:
        lines += ["", _("Ending soonest:")]
        lines += [f"- {row['device']} ({row['fleet']}): {_end(row['ends_at'], now)}" for row in content["soonest"]]
    return Wording(_subject(content), lines, settings.PUBLIC_PORTAL_URL + reverse("admin:inventory_alert_changelist"))


def _subject(content: Mapping[str, Any]) -> str:
    own = len(content["portal"])
    count = sum(line["count"] for line in content["devices"])
    subjects = []
    if own:
        subjects.append(ngettext("%(count)s urgent matter", "%(count)s urgent matters", own) % {"count": own})
    if count:
        text = ngettext("%(count)s device certificate ends", "%(count)s device certificates end", count)
        subjects.append(text % {"count": number_format(count, force_grouping=True)})
    level = max(row["level"] for row in [*content["portal"], *content["devices"]])
    raised = _(" (level %(level)s)") % {"level": level} if level > 1 else ""
    return f"certportal: {', '.join(subjects)}{raised}"


def _devices(line: Mapping[str, Any]) -> str:
    words = {
        "count": number_format(line["count"], force_grouping=True),
        "days": line["threshold"],
        "policy": line["policy"],
        "level": line["level"],
        "soonest": line["soonest"][:10],
    }
    text = ngettext(
        "%(count)s certificate ends within %(days)s d (%(policy)s, level %(level)s), the first on %(soonest)s.",
        "%(count)s certificates end within %(days)s d (%(policy)s, level %(level)s), the first on %(soonest)s.",
        line["count"],
    )
    if line["late"]:
        late = _(" %(late)s of them are told late.") % {"late": number_format(line["late"], force_grouping=True)}
        return text % words + late
    return text % words


def _own(own: Mapping[str, Any], now: datetime) -> str:
    return own_text(AlertKind(own["kind"]), own["about"], datetime.fromisoformat(own["ends_at"]), now)


def own_text(kind: AlertKind, about: str, ends_at: datetime, now: datetime) -> str:
    """Say what is wrong with a thing of the portal's own, or with a sighting, and the next step."""
    words = {"about": about, "day": f"{ends_at:%Y-%m-%d %H:%M}"}
    ended = ends_at <= now
    match kind:
        case AlertKind.CRL if ended:
            return _("CRL %(about)s ended on %(day)s: verifiers refuse every device. Look at the workers.") % words
        case AlertKind.CRL:
            return _("CRL %(about)s is late and ends on %(day)s. Look at the workers.") % words
        case AlertKind.CHANNEL:
            return _("Since %(day)s no trigger leaves over %(about)s. Look at the broker; `doctor` says why.") % words
        case AlertKind.UNEXPECTED_SIGHTING:
            return _odd(about, ends_at)
        case AlertKind.AUTHORITY_TOO_SHORT:
            text = _("Authority %(about)s ends on %(day)s: it can no longer sign a full-length certificate. Rotate it.")
            return text % words
        case _ if ended:
            return _("The portal's own %(about)s ended on %(day)s. Renew it now.") % words
        case _:
            return _("The portal's own %(about)s ends on %(day)s. Renew it.") % words


def _odd(about: str, ends_at: datetime) -> str:
    oddity, source = parts(about)
    texts = {
        Oddity.UNKNOWN: _("%(source)s met certificates or devices that nobody here knows. Find out whose they are."),
        Oddity.REVOKED: _("%(source)s met revoked certificates alive. Check its CRL, and who holds them."),
        Oddity.OUT_OF_SERVICE: _("%(source)s met devices that are out of service. Find out where they are."),
        Oddity.SHARED_KEY: _(
            "%(source)s met one key on two devices. Their images may be clones of one: give each its own key."
        ),
        Oddity.COMPROMISED_KEY: _(
            "%(source)s met keys that are in other hands. Revoke every certificate that has one of them."
        ),
    }
    settles = _(" It settles when nothing more is seen until %(day)s.") % {"day": f"{ends_at:%Y-%m-%d}"}
    return texts[oddity] % {"source": source} + settles


def _end(text: str, now: datetime) -> str:
    ends_at = datetime.fromisoformat(text)
    days = abs((ends_at.date() - now.date()).days)
    if ends_at < now:
        return _("ended on %(day)s, %(days)s d ago") % {"day": ends_at.date().isoformat(), "days": days}
    return _("ends on %(day)s, in %(days)s d") % {"day": ends_at.date().isoformat(), "days": days}
