"""System checks of settings that would leave verifiers without a valid CRL."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register
def crl_outlives_a_failed_publication(**_kwargs: Any) -> list[CheckMessage]:
    """A CRL must still be valid when the publication that should have replaced it failed once."""
    interval, lifetime = settings.CRL_INTERVAL, settings.CRL_LIFETIME
    if lifetime >= 2 * interval:
        return []
    return [
        Error(
            f"The CRL lifetime ({lifetime}) must be at least twice the CRL interval ({interval}): after one failed "
            "publication the CRL in place would end before the next one comes.",
            hint="Raise CERTPORTAL_CRL_LIFETIME or lower CERTPORTAL_CRL_INTERVAL; both are in seconds.",
            id="revocation.E001",
        )
    ]
