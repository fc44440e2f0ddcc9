"""Addresses of admin lists that hold exactly the rows of a question, and of single pages."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlencode

from django.urls import reverse

from inventory.expiry.cliffs import Cliff, start_of


def moment(at: datetime) -> str:
    """Return a moment as it stands in addresses: midnight of UTC by its day alone, for a map has hundreds of them."""
    utc = at.astimezone(UTC)
    return utc.strftime("%Y-%m-%d" if utc.time() == time.min else "%Y-%m-%dT%H:%M:%SZ")


def changelist(model: str, **question: object) -> str:
    """Return the list of `app_model` with these filters; a filter that is None is left out."""
    return with_query(reverse(f"admin:{model}_changelist"), question)


def with_query(address: str, question: Mapping[str, object]) -> str:
    given = {key: value for key, value in question.items() if value is not None}
    return f"{address}?{urlencode(given)}" if given else address


def devices(**question: object) -> str:
    return changelist("inventory_device", **question)


def certificates(
    *, expires_from: datetime | None = None, expires_before: datetime | None = None, **question: object
) -> str:
    """Return the list of certificates, those of devices unless `purpose` says otherwise."""
    question.setdefault("purpose", "device")
    address = changelist("inventory_certificate", **question)
    return f"{address}&{expiry(expires_from, expires_before)}" if expires_from or expires_before else address


def expiry(start: datetime | None, end: datetime | None) -> str:
    """Return the part of an address that asks for certificates with `start <= notAfter < end`."""
    bounds = {"not_after__gte": start, "not_after__lt": end}
    return urlencode({key: moment(bound) for key, bound in bounds.items() if bound})


def of_cliff(cliff: Cliff) -> str:
    """Return the list of exactly the certificates that a cliff counts."""
    return standing_on(cliff.fleet_id, cliff.day)


def standing_on(fleet_id: int, day: date) -> str:
    """Return the list of the certificates of a fleet that stand, and end on a day of UTC."""
    start = start_of(day)
    return certificates(state="standing", fleet=fleet_id, expires_from=start, expires_before=start + timedelta(days=1))


def audit(**question: object) -> str:
    return changelist("inventory_auditevent", **question)


def page(model: str, pk: object) -> str:
    """Return the page of one object."""
    return reverse(f"admin:{model}_change", args=[pk])


def device(pk: int) -> str:
    return page("inventory_device", pk)


def certificate(pk: int) -> str:
    return page("inventory_certificate", pk)
