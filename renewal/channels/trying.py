"""One message over a gateway to whom a person names, to see that it works. It is in the audit log."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings

from inventory.audit.record import Actor, event, record
from inventory.models import AuditAction
from renewal.channels import capacity, drivers
from renewal.channels.messages import Delivery, Fate, TriggerMessage
from renewal.channels.sealing import SecretUnreadable
from renewal.models import Channel, Gateway

_VALID_FOR = timedelta(hours=1)
# Of no attempt and no campaign: nothing that devices or receipts say of them is written anywhere.
_NONE = 0


def send_one(gateway: Gateway, address: str, *, now: datetime, actor: Actor, clock: Callable[[], datetime]) -> Delivery:
    """Send a message to `address`: a phone number, FLEET/MQTT_ID, or nothing for a webhook.

    Quiet hours are not asked, since it is the person who wants it; the daily cap is. The gateway may be disabled still.
    """
    delivery = _send(gateway, address, now, clock)
    record(
        [
            event(
                AuditAction.GATEWAY_TRIED,
                now=now,
                actor=actor,
                object_name=f"gateway: {gateway}",
                details={"address": address, "fate": delivery.fate.name.lower(), "detail": delivery.detail},
            )
        ]
    )
    return delivery


def _send(gateway: Gateway, address: str, now: datetime, clock: Callable[[], datetime]) -> Delivery:
    if not capacity.take(gateway, 1, now):
        return Delivery(_NONE, Fate.NEVER_LEFT, "the daily cap of the gateway is reached")
    fleet = gateway.fleet.slug if gateway.fleet else "test"
    if gateway.channel == Channel.MQTT:
        fleet, _slash, address = address.partition("/")
        if not fleet or not address or set(fleet + address) & set("+#/\0"):
            return Delivery(_NONE, Fate.REFUSED, "Name a fleet and an MQTT id, such as demo/meter-1.")
    message = TriggerMessage(
        attempt=_NONE,
        fleet=fleet,
        device="test",
        address=address,
        campaign=_NONE,
        renew_before=now.isoformat(),
        est_url=f"{settings.PUBLIC_DEVICE_URL}/.well-known/est/{fleet}",
        valid_until=now + _VALID_FOR,
    )
    try:
        [delivery] = drivers.driver_of(gateway, clock).send([message])
    except SecretUnreadable as error:
        return Delivery(_NONE, Fate.NEVER_LEFT, str(error))
    return delivery
