"""Requests for certificates, as every protocol hands them to `enrolling`: who asks, shown by what, for which key.

A protocol has checked what only it can: that the sender holds the key of the certificate it shows.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from inventory.x509.csr import CertificationRequest
from renewal.models import EnrolmentProtocol


@dataclass(frozen=True)
class Renewal:
    """A device that authenticated with its current certificate (DER) asks for the next one.

    `label`: the fleet that it says it belongs to, if it says so. `repeats_names`: whether the protocol's operation
    demands the names of the current certificate in the request. `request_id` names the HTTP request in logs.
    """

    client_certificate: bytes
    request: CertificationRequest
    label: str | None = None
    repeats_names: bool = True
    source_address: str | None = None
    request_id: str | None = None

    @cached_property
    def sha256(self) -> bytes:
        """The fingerprint of the certificate."""
        return hashlib.sha256(self.client_certificate).digest()


@dataclass(frozen=True)
class Enrolment:
    """Somebody who says to be device `serial` of fleet `label` asks for a certificate by a one-time secret."""

    serial: str
    secret: str
    request: CertificationRequest
    label: str
    protocol: EnrolmentProtocol
    source_address: str | None = None
    request_id: str | None = None

    @cached_property
    def secret_sha256(self) -> bytes:
        return hashlib.sha256(self.secret.encode()).digest()


Request = Renewal | Enrolment
