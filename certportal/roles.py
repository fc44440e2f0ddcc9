"""The roles that a new portal comes with: seven groups and what each may do. Whose rows, the fleets of a person say."""

from collections.abc import Iterable, Mapping

from django.contrib.auth.models import Group, Permission
from django.db.models import Q


def _view(app: str, *models: str) -> frozenset[str]:
    return frozenset(f"{app}.view_{model}" for model in models)


_PLACES = _view("inventory", "fleet", "site", "batch", "device", "certificate", "alert", "case", "proposal") | {
    "certportal.view_savedfilter"
}
_CAMPAIGNS = _view("renewal", "campaign", "target", "workorder", "team", "devicenote", "gateway")
_ALL_TEAMS = frozenset({"renewal.view_orders_of_all_teams"})
_NOTING = frozenset({"renewal.change_workorder", "renewal.add_devicenote", "renewal.change_devicenote"})
_TEAMS = frozenset({"renewal.add_team", "renewal.change_team"})
_LOOKING = (
    _PLACES
    | _CAMPAIGNS
    | _ALL_TEAMS
    | _view("inventory", "profile", "authority", "alertpolicy", "mute", "unexpectedsighting")
    | _view("revocation", "crl")
    | _view("renewal", "rehearsal")
)
_OVERSEEING = (
    _LOOKING
    | _view("inventory", "auditevent", "importrun", "columnmapping", "recipient", "delivery")
    | _view("certportal", "user", "apitoken", "queues")
    | _view("auth", "group")
)
_OPERATING = _LOOKING | _view("inventory", "importrun", "columnmapping")

# In the order of docs/access.md, which says the same in words.
ROLES: Mapping[str, frozenset[str]] = {
    "viewer": _LOOKING,
    "field": _PLACES | _CAMPAIGNS | _NOTING | {"inventory.change_device", "inventory.add_unexpectedsighting"},
    "operator": _OPERATING
    | _NOTING
    | _TEAMS
    | {
        "renewal.assign_workorder",
        "inventory.add_device", "inventory.change_device", "inventory.add_site", "inventory.change_site",
        "inventory.add_batch", "inventory.change_batch", "inventory.add_importrun", "inventory.change_alert",
        "inventory.add_mute", "inventory.change_mute", "inventory.add_case", "inventory.add_unexpectedsighting",
        "renewal.add_campaign", "renewal.change_campaign", "renewal.add_earlyreceipt",
        "renewal.add_enrolmentsecret",
    },
    "PKI officer": _OPERATING
    | _view("inventory", "auditevent")
    | {
        "inventory.revoke_certificate", "inventory.add_profile", "inventory.change_profile",
        "inventory.change_authority", "inventory.add_fleet", "inventory.change_fleet", "inventory.add_case",
        "renewal.add_enrolmentsecret",
    },
    "approver": _LOOKING | _view("inventory", "auditevent") | {"inventory.decide_case", "renewal.approve_campaign"},
    "auditor": _OVERSEEING,
    "administrator": _OVERSEEING
    | _TEAMS
    | {
        "certportal.add_user", "certportal.change_user", "certportal.delete_apitoken", "certportal.change_queues",
        "auth.add_group", "auth.change_group", "inventory.add_fleet", "inventory.change_fleet",
        "inventory.add_alertpolicy", "inventory.change_alertpolicy", "inventory.add_recipient",
        "inventory.change_recipient", "inventory.add_columnmapping", "inventory.change_columnmapping",
        "renewal.add_gateway", "renewal.change_gateway",
    },
}  # fmt: skip


def make_missing() -> list[str]:
    """Make the roles that are not there and return their names; one that is there stays as somebody made it."""
    missing = [name for name in ROLES if not Group.objects.filter(name=name).exists()]
    for name in missing:
        Group.objects.create(name=name).permissions.set(_named(ROLES[name]))
    return missing


def _named(permissions: Iterable[str]) -> list[Permission]:
    """Raises LookupError for a permission that there is not: a role that lacks one would refuse without a reason."""
    wanted = Q()
    names = sorted(permissions)
    for name in names:
        app, _dot, codename = name.partition(".")
        wanted |= Q(content_type__app_label=app, codename=codename)
    found = list(Permission.objects.select_related("content_type").filter(wanted))
    if unknown := set(names) - {f"{each.content_type.app_label}.{each.codename}" for each in found}:
        raise LookupError(f"There is no permission {', '.join(sorted(unknown))}.")
    return found
