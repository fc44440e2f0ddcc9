"""Which of a device's certificates counts."""

from collections.abc import Iterable
from datetime import datetime

from inventory.models import Certificate, CertificateState
from inventory.models.certificate import LIVE_STATES


def current(certificates: Iterable[Certificate], now: datetime) -> Certificate | None:
    """Return the certificate that a device stands on: one accepted now before an ended one, used before unused."""

    def rank(certificate: Certificate) -> tuple[bool, bool, bool, datetime]:
        live = certificate.state in LIVE_STATES
        accepted = live and certificate.not_before <= now <= certificate.not_after
        return accepted, live, certificate.state == CertificateState.CONFIRMED, certificate.not_after

    return max(certificates, key=rank, default=None)
