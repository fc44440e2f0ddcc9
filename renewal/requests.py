"""Requests for certificates, as every protocol hands them to `enrolling`: who asks, shown by what, for which key.

A protocol has checked what only it can: that the sender holds the key of the certificate it shows.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from inventory.audit.record import Actor
from inventory.x509 import names
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
    """Somebody asks for a certificate of fleet `label` by the one-time secret of a device.

    `serial` is the device that he says to be, None where the protocol has no place for it: then the secret alone tells.
    """

    serial: str | None
    secret: str
    request: CertificationRequest
    label: str
    protocol: EnrolmentProtocol
    source_address: str | None = None
    request_id: str | None = None

    @cached_property
    def claimed_name(self) -> str:
        """Who the sender says to be, as far as he says it."""
        if self.serial is not None:
            return self.serial
        # The log cannot hold a NUL.
        return next(iter(names.common_names(self.request.subject)), "").replace("\0", "")

    @cached_property
    def secret_sha256(self) -> bytes:
        return hashlib.sha256(self.secret.encode()).digest()


@dataclass(frozen=True)
class Vouched:
    """A service account asks in the name of device `serial` of fleet `label`, which it knows by a channel of its own.

    `account` is who speaks for the device, with its address. Not `in_reach` are the devices of fleets that the account
    may not speak for: to it there are none.
    """

    serial: str
    request: CertificationRequest
    label: str
    account: Actor
    in_reach: bool = True


Request = Renewal | Enrolment | Vouched
