"""Until when an authority can do its work, and from when it is no longer needed."""

from datetime import datetime, timedelta

from django.db.models import Max

from inventory.models import Authority, Certificate, Profile


def last_full_moment(
    authority_ends: datetime, *, validity: timedelta, jitter_max: timedelta, renewal_lead: timedelta
) -> datetime:
    """Return the last moment at which an authority signs a certificate of full length that it also outlives enough.

    The certificate must end, at its longest, a whole renewal window before its issuer: else the device renews under
    an issuer that ends together with what it signed.
    """
    return authority_ends - validity - jitter_max - renewal_lead


def last_full_day(authority_ends: datetime, profile: Profile) -> datetime:
    """Return `last_full_moment` for the certificates of a profile."""
    return last_full_moment(
        authority_ends,
        validity=profile.validity,
        jitter_max=profile.jitter_max,
        renewal_lead=profile.renewal_window,
    )


def earliest_retirement(authority: Authority, now: datetime) -> datetime:
    """Return when the last certificate that stands on `authority` ends: retired sooner, it would orphan a device.

    That is a renewal which never happens; each that does brings the day nearer. `now` when nothing stands on it.
    """
    standing = Certificate.objects.of_devices().valid(now).filter(authority=authority)
    last: datetime | None = standing.aggregate(last=Max("not_after"))["last"]
    return last or now
