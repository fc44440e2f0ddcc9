"""The scopes that are of use to a person, each with a sentence: what his or her permissions open in the API.

Asked of the resources themselves, so that nothing is offered that the API would refuse, and nothing new is forgotten.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from certportal.api.permissions import ModelAndScopePermissions
from certportal.api.scopes import Resource
from certportal.api.urls import router
from certportal.models import User
from inventory.models import fleets_of

WRITE = ":write"
# What a resource answers beside its acts.
_METHODS = {
    "list": "GET",
    "retrieve": "GET",
    "create": "POST",
    "partial_update": "PATCH",
    "partial_update_many": "PATCH",
}
SENTENCES: dict[str, Promise] = {
    "fleets": _("See fleets, with the profile and the authority of each."),
    "devices": _("See devices: where each is, how it is reached, when it was last seen."),
    "devices:write": _("Register devices and change what is known of them."),
    "certificates": _("See certificates, fetch them and their chains."),
    "sites": _("See sites."),
    "sites:write": _("Make sites and change them."),
    "batches": _("See batches."),
    "batches:write": _("Make batches and change them."),
    "expiry": _("Count what ends when, see cliffs, try other lifetimes without writing anything."),
    "profiles": _("See the rules by which certificates are made."),
    "authorities": _("See certificate authorities."),
    "imports": _("See imports, how far they came and what they rejected."),
    "imports:write": _("Hand over files to import, and go on with imports that stopped."),
    "column-mappings": _("See what the columns of files mean."),
    "enrolments:write": _("Ask for certificates in the name of devices."),
    "enrolment-secrets:write": _("Make the one-time secrets by which devices enrol."),
    "sightings": _("See what should not have been seen."),
    "sightings:write": _("Report that devices were seen."),
    "campaigns": _("See campaigns and how far each of their devices has come."),
    "escalations": _("See work orders."),
    "escalations:write": _("Assign work orders and close them."),
    "teams": _("See field teams."),
    "teams:write": _("Make field teams and change them."),
    "device-notes": _("See what people noted about devices on the spot."),
    "device-notes:write": _("Note what was found at a device."),
    "gateways": _("See by whom messages go to devices, and within which limits."),
    "receipts:write": _("Tell what became of messages, as a gateway does."),
    "crls": _("See the CRLs that were published."),
    "alerts": _("See alerts."),
    "alerts:write": _("Acknowledge alerts and mute what they are about."),
    "alert-policies": _("See at what threshold who is alerted."),
    "alert-policies:write": _("Make alert policies and change them."),
    "alert-recipients": _("See who is told of alerts."),
    "alert-recipients:write": _("Make recipients of alerts and change them."),
    "mutes": _("See what is muted, and until when."),
    "mutes:write": _("Mute, and end mutes."),
    "saved-filters": _("See your saved filters, and those that others share."),
    "cases": _("See the cases of revoked devices."),
    "cases:write": _("Open cases and decide, as you, on those of others."),
    "approvals": _("See what waits for a second person."),
    "approvals:write": _("Decide, as you, on what others proposed, and withdraw what you did."),
    "audit-events": _("Read the audit log."),
}


@dataclass(frozen=True)
class Usable:
    """A scope that a person's permissions give a use to. `writes`: it changes something."""

    scope: str
    sentence: str | Promise
    writes: bool


def usable_by(user: User) -> list[Usable]:
    """Return the scopes that `user` could use, in the order of the resources, reading before writing. No queries of
    its own: permissions are read once for a person, and fleets once for a request.
    """
    found = {scope for scope, permissions, shared in _acts() if _may(user, permissions, shared=shared)}
    every = (scope for resource in Resource.values for scope in (resource, resource + WRITE))
    return [Usable(scope, SENTENCES[scope], scope.endswith(WRITE)) for scope in every if scope in found]


def _may(user: User, permissions: Sequence[str], *, shared: bool) -> bool:
    return user.has_perms(permissions) and not (shared and fleets_of(user) is not None)


def _acts() -> Iterator[tuple[str, Sequence[str], bool]]:
    """Yield of every act of the API its scope, the permissions that it needs, and whether it is of all fleets only."""
    asked = ModelAndScopePermissions()
    viewset: Any
    for _prefix, viewset, _name in router.registry:
        for act, method in _methods(viewset):
            reads = method == "GET" or act in getattr(viewset, "reading_acts", ())
            own = getattr(viewset, "permissions_of_acts", {}).get(act)
            permissions = asked.get_required_permissions(method, viewset.queryset.model) if own is None else own
            shared = not reads and getattr(viewset, "shared", False)
            yield viewset.resource + ("" if reads else WRITE), permissions, shared


def _methods(viewset: Any) -> Iterator[tuple[str, str]]:
    yield from ((act, method) for act, method in _METHODS.items() if hasattr(viewset, act))
    for extra in viewset.get_extra_actions():
        yield from ((act, method.upper()) for method, act in extra.mapping.items())
