"""A device's current certificate."""

from collections.abc import Iterable
from datetime import datetime

from inventory.models import Certificate, CertificateState
from inventory.models.certificate import LIVE_STATES


def current(certificates: Iterable[Certificate], now: datetime) -> Certificate | None:
    """Return the certificate that a device stands on: one accepted now before an ended one, used before unused.

    Of an issuer that was revoked, at whatever height, none is accepted. No query if they were read `with_issuer`.
    """

    def rank(certificate: Certificate) -> tuple[bool, bool, bool, datetime]:
        live = certificate.state in LIVE_STATES
        in_time = certificate.not_before <= now <= certificate.not_after
        accepted = live and in_time and not certificate.issuer_is_revoked
        return accepted, live, certificate.state == CertificateState.CONFIRMED, certificate.not_after

    return max(certificates, key=rank, default=None)
