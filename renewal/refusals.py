"""Why a request for a certificate was refused, as a value. Protocols turn it into their own kind of answer."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class RefusalCode(StrEnum):
    """Closed vocabulary. The value is what logs and audit events carry."""

    NO_CREDENTIAL = "no_credential"
    WRONG_SECRET = "wrong_secret"
    TOO_MANY_REFUSALS = "too_many_refusals"
    UNKNOWN_DEVICE = "unknown_device"
    UNKNOWN_CERTIFICATE = "unknown_certificate"
    CERTIFICATE_REVOKED = "certificate_revoked"
    ISSUER_REVOKED = "issuer_revoked"
    CERTIFICATE_SUPERSEDED = "certificate_superseded"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
    DEVICE_NOT_IN_SERVICE = "device_not_in_service"
    DEVICE_REVOKED = "device_revoked"
    OTHER_FLEET = "other_fleet"
    WINDOW_NOT_OPEN = "window_not_open"
    NAME_MISMATCH = "name_mismatch"
    KEY_TYPE = "key_type"
    KEY_REUSED = "key_reused"
    KEY_COMPROMISED = "key_compromised"
    KEY_OF_ANOTHER_DEVICE = "key_of_another_device"
    TOO_MANY_UNCONFIRMED = "too_many_unconfirmed"
    ISSUER_TOO_OLD = "issuer_too_old"
    ISSUER_UNAVAILABLE = "issuer_unavailable"
    PROFILE_UNUSABLE = "profile_unusable"


@dataclass(frozen=True)
class Refusal:
    """A refused request: the code for machines, one line that names fact, limit and next step for people."""

    code: RefusalCode
    message: str
    retry_after: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


def day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
