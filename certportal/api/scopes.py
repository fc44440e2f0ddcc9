"""Scopes: the part of its user's rights that a token carries."""

from collections.abc import Iterable

from django.db import models
from django.utils.translation import gettext_lazy as _

_WRITE = ":write"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Resource(models.TextChoices):
    """The resources of the API, named as in its addresses."""

    FLEETS = "fleets", _("fleets")
    DEVICES = "devices", _("devices")
    CERTIFICATES = "certificates", _("certificates")
    SITES = "sites", _("sites")
    BATCHES = "batches", _("batches")
    EXPIRY = "expiry", _("expiry counts")
    PROFILES = "profiles", _("profiles")
    AUTHORITIES = "authorities", _("authorities")
    IMPORTS = "imports", _("imports")
    COLUMN_MAPPINGS = "column-mappings", _("column mappings")
    ENROLMENTS = "enrolments", _("enrolments")
    ENROLMENT_SECRETS = "enrolment-secrets", _("one-time secrets")
    SIGHTINGS = "sightings", _("sightings")
    CAMPAIGNS = "campaigns", _("campaigns")
    ESCALATIONS = "escalations", _("work orders")
    TEAMS = "teams", _("field teams")
    DEVICE_NOTES = "device-notes", _("notes on devices")
    GATEWAYS = "gateways", _("gateways")
    RECEIPTS = "receipts", _("receipts")
    CRLS = "crls", _("CRLs")
    ALERTS = "alerts", _("alerts")
    ALERT_POLICIES = "alert-policies", _("alert policies")
    ALERT_RECIPIENTS = "alert-recipients", _("alert recipients")
    MUTES = "mutes", _("mutes")
    SAVED_FILTERS = "saved-filters", _("saved filters")
    CASES = "cases", _("cases")
    APPROVALS = "approvals", _("approvals")
    AUDIT_EVENTS = "audit-events", _("audit events")


class UnknownScope(ValueError):
    """A scope that names no resource of the API."""

    def __init__(self, scope: str) -> None:
        known = ", ".join(Resource.values)
        super().__init__(f"{scope!r} is not a scope. Scopes are RESOURCE or RESOURCE{_WRITE}; resources are {known}.")


def checked(scopes: Iterable[str]) -> list[str]:
    """Return `scopes` sorted and without repetition. Raises UnknownScope."""
    unique = sorted(set(scopes))
    for scope in unique:
        if scope.removesuffix(_WRITE) not in Resource.values:
            raise UnknownScope(scope)
    return unique


def missing(scopes: Iterable[str], resource: str, method: str) -> str | None:
    """Return the scope that a token with `scopes` lacks for `method` on `resource`, or None when it has it.

    Writing includes reading. No scopes at all: everything may be read and nothing written.
    """
    held = set(scopes)
    if method in _READING:
        return None if not held or held & {resource, resource + _WRITE} else resource
    return None if resource + _WRITE in held else resource + _WRITE
