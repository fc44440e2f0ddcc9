"""How long an authority can issue certificates, and when it may be retired."""

from datetime import datetime, timedelta

from django.db.models import Max

from inventory.models import Authority, Certificate, Profile


def last_full_moment(
    authority_ends: datetime, *, validity: timedelta, jitter_max: timedelta, renewal_lead: timedelta
) -> datetime:
    """Return the last moment at which an authority can issue a certificate of full validity.

    Even with the largest jitter the certificate must expire one renewal window before its issuer. Otherwise the device
    would renew under an issuer that expires together with the new certificate.
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
    """Return when the last valid device certificate under this authority expires, or `now` if there is none.

    An authority that is retired earlier leaves devices without a valid chain. Each renewal may bring the date forward.
    """
    standing = Certificate.objects.of_devices().valid(now).filter(authority=authority)
    last: datetime | None = standing.aggregate(last=Max("not_after"))["last"]
    return last or now
