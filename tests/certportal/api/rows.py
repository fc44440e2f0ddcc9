"""Many rows for lists, written straight into the tables: their certificates carry random bytes in the place of DER."""

import secrets
from datetime import datetime, timedelta

from inventory.models import Certificate, CertificateState, Device, Fleet, Purpose, RevocationReason
from tests import factories
from tests.factories import DAY, NOW


def devices(number: int, fleet: Fleet | None = None) -> list[Device]:
    owner = fleet or factories.fleet()
    return Device.objects.bulk_create(
        Device(fleet=owner, serial=f"R{secrets.token_hex(8)}", registered_at=NOW) for _ in range(number)
    )


def certificate(device: Device, *, not_after: datetime = NOW + 30 * DAY, **changes: object) -> Certificate:
    """An unsaved certificate of `device`."""
    values: dict[str, object] = {
        "authority": device.fleet.authority,
        "serial": f"5{secrets.token_hex(19)}0",
        "purpose": Purpose.DEVICE,
        "device": device,
        "profile": device.fleet.profile,
        "subject": f"CN={device.serial}",
        "key_type": "ec-p256",
        "der": secrets.token_bytes(600),
        "sha256": secrets.token_bytes(32),
        "spki_sha256": secrets.token_bytes(32),
        "not_before": min(NOW, not_after) - 700 * DAY,
        "not_after": not_after,
        "issued_at": min(NOW, not_after) - 700 * DAY,
        "state": CertificateState.CONFIRMED,
        "activated_at": NOW - 10 * DAY,
        **changes,
    }
    return Certificate(**values)


def certificates(owners: list[Device], *, step: timedelta = timedelta(0), **changes: object) -> list[Certificate]:
    """One certificate for each device, ending `step` after the one before."""
    made = [
        certificate(owner, not_after=NOW + 30 * DAY + index * step, **changes) for index, owner in enumerate(owners)
    ]
    return Certificate.objects.bulk_create(made)


REVOKED = {
    "state": CertificateState.REVOKED,
    "revoked_at": NOW,
    "revocation_reason": RevocationReason.KEY_COMPROMISE,
}
