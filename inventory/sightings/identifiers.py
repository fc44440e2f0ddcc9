"""What a sighting says: when, and of which certificate or device. Pure."""

from dataclasses import dataclass
from datetime import datetime

# The longest name that we keep has 512 characters. Escaped as in RFC 2253 one of three octets becomes nine characters.
LONGEST_ISSUER = 512 * 9
_SHOWN_OF_ISSUER = 512


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A certificate by the SHA-256 of its bytes."""

    sha256: bytes

    def __str__(self) -> str:
        return f"sha256:{self.sha256.hex()}"


@dataclass(frozen=True, slots=True)
class IssuerAndSerial:
    """A certificate by its issuer's slug or name (RFC 4514 or RFC 2253), and its serial number (hexadecimal)."""

    issuer: str
    serial: str

    def __str__(self) -> str:
        return f"{self.issuer[:_SHOWN_OF_ISSUER]}/{self.serial}"


@dataclass(frozen=True, slots=True)
class DeviceSerial:
    """A device by the slug of its fleet and its serial number. Which certificate it used is not said."""

    fleet: str
    serial: str

    def __str__(self) -> str:
        return f"{self.fleet}/{self.serial}"


@dataclass(frozen=True, slots=True)
class MqttId:
    """A device by the slug of its fleet and its MQTT id."""

    fleet: str
    mqtt_id: str

    def __str__(self) -> str:
        return f"{self.fleet}/{self.mqtt_id}"


Name = Fingerprint | IssuerAndSerial | DeviceSerial | MqttId


@dataclass(frozen=True, slots=True)
class Sighting:
    """Somebody saw what `name` names authenticate at `at`.

    `only`: the one device that whoever reports this can speak for, when it is not trusted with others.
    """

    at: datetime
    name: Name
    only: MqttId | None = None
