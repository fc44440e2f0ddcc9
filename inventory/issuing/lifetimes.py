"""How long a certificate lives. Pure arithmetic; the random draw is passed in."""

from dataclasses import dataclass
from datetime import datetime, timedelta

ONE_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Lifetime:
    """The dates of one certificate, in whole seconds. `jitter` is what was added to the profile's validity."""

    not_before: datetime
    not_after: datetime
    jitter: timedelta


class IssuerTooOld(ValueError):
    """The issuer ends before the certificate could begin."""


def lifetime(
    *,
    now: datetime,
    validity: timedelta,
    jitter_max: timedelta,
    draw: float,
    backdate: timedelta,
    issuer_not_after: datetime,
) -> Lifetime:
    """Return the dates of a certificate made at `now`.

    `draw`, uniform in [0, 1), picks the jitter in whole seconds from 0 to `jitter_max`. `validity`, in whole seconds,
    counts from `now`, not from the back-dated notBefore. A certificate never outlives its issuer (RFC 5280 6.1 would
    refuse the path): notAfter is clamped, and `jitter` reports what the clamp left of it. Raises IssuerTooOld.
    """
    start = now.replace(microsecond=0)
    if issuer_not_after <= start:
        raise IssuerTooOld(f"The issuing authority's certificate ended on {issuer_not_after:%Y-%m-%d}.")
    steps = int(jitter_max / ONE_SECOND) + 1
    # RFC 5280 4.1.2.5: certificates know no fractions of seconds. Dates are added last: spans do not end in year 9999.
    whole = validity - timedelta(microseconds=validity.microseconds)
    span = min(whole + int(draw * steps) * ONE_SECOND, issuer_not_after - start)
    return Lifetime(not_before=start - backdate, not_after=start + span, jitter=max(span - whole, timedelta(0)))


def renewal_opens(not_after: datetime, renewal_window: timedelta) -> datetime:
    """Return the first moment at which a certificate that ends at `not_after` may be renewed."""
    return not_after - renewal_window
