"""Which driver serves a channel for a fleet, and how much may go over it now.

A way holds what people set for a gateway: it holds back what quiet hours or the daily cap forbid, puts the gateway's
key before its references, and leaves the rest to the driver. Its trouble is noted under its key.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from django.conf import settings

from renewal.channels import capacity, drivers, trouble
from renewal.channels.messages import Delivery, Fate, TriggerChannel, TriggerMessage, never_left
from renewal.channels.mqtt import Broker, MqttChannel
from renewal.channels.quiet import quiet_until
from renewal.channels.sealing import SecretUnreadable
from renewal.models import Attempt, Channel, Gateway


class Way(TriggerChannel, Protocol):
    """A channel with its limits."""

    def room(self, wanted: int, now: datetime) -> int:
        """Return how many of `wanted` messages may go now: by its trouble and by its daily cap."""

    def note(self, deliveries: Sequence[Delivery], now: datetime) -> datetime:
        """Record the result of a batch; return when messages that never left may be tried again."""


def route(channel: Channel, fleet_id: int | None, clock: Callable[[], datetime]) -> Way | None:
    """Return what carries messages over `channel` to devices of a fleet now; None: nothing is set up. One query.

    Without a fleet: what serves all fleets. `clock` tells the time at which messages really leave. MQTT needs no
    gateway: without one nothing limits it.
    """
    gateway = Gateway.objects.serving(channel, fleet_id)
    if gateway is not None:
        return GatewayWay(gateway, clock)
    if channel == Channel.MQTT:
        return PlainWay(channel.value, MqttChannel(Broker.from_url(settings.MQTT_BROKER_URL), clock=clock))
    return None


class PlainWay:
    """A channel without limits of its own, whose trouble is noted under `key`."""

    def __init__(self, key: str, channel: TriggerChannel) -> None:
        self._key = key
        self._channel = channel

    def send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        return self._channel.send(messages)

    def room(self, wanted: int, now: datetime) -> int:
        """One query."""
        return trouble.room(self._key, wanted, now)

    def note(self, deliveries: Sequence[Delivery], now: datetime) -> datetime:
        """One query, up to four when nothing was taken."""
        return trouble.note(self._key, deliveries, now)


class GatewayWay:
    """A gateway with its limits around its driver."""

    def __init__(self, gateway: Gateway, clock: Callable[[], datetime]) -> None:
        self._gateway = gateway
        self._clock = clock

    def room(self, wanted: int, now: datetime) -> int:
        """At most two queries."""
        left = capacity.left(self._gateway, now)
        return trouble.room(self._gateway.key, wanted if left is None else min(wanted, left), now)

    def note(self, deliveries: Sequence[Delivery], now: datetime) -> datetime:
        """One query, up to four when nothing was taken."""
        gateway = self._gateway
        # The broker is one, whoever limits what goes over it.
        name = "" if gateway.key == gateway.channel else gateway.name
        return trouble.note(gateway.key, deliveries, now, name)

    def send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        """At most five queries beside those of the driver, whatever the number of messages."""
        now = self._clock()
        awake, held = self._outside_quiet_hours(messages, now)
        granted = capacity.take(self._gateway, len(awake), now) if awake else 0
        held += _held(awake[granted:], "the daily cap of the gateway is reached", capacity.next_day(now))
        sent = self._hand_over(awake[:granted]) if granted else []
        capacity.give_back(self._gateway, sum(each.fate == Fate.NEVER_LEFT for each in sent), now)
        return [*(self._referred(each) for each in sent), *held]

    def _hand_over(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        try:
            driver = drivers.driver_of(self._gateway, self._clock)
        except SecretUnreadable as error:
            return never_left(messages, str(error))
        return driver.send(messages)

    def _referred(self, delivery: Delivery) -> Delivery:
        if not delivery.reference:
            return delivery
        return replace(delivery, reference=self._gateway.reference_of(delivery.reference))

    def _outside_quiet_hours(
        self, messages: Sequence[TriggerMessage], now: datetime
    ) -> tuple[list[TriggerMessage], list[Delivery]]:
        hours = self._gateway.quiet_hours
        if hours is None:
            return list(messages), []
        zones = _zones(messages)
        ends = {
            zone: quiet_until(hours, ZoneInfo(zone), now) for zone in {*zones.values(), settings.TIME_ZONE_OF_SITES}
        }
        awake: list[TriggerMessage] = []
        held: list[Delivery] = []
        for message in messages:
            until = ends[zones.get(message.attempt, settings.TIME_ZONE_OF_SITES)]
            if until is None:
                awake.append(message)
            else:
                held += _held([message], f"quiet hours until {until:%Y-%m-%d %H:%M} UTC", until)
        return awake, held


def _held(messages: Sequence[TriggerMessage], reason: str, until: datetime) -> list[Delivery]:
    return [replace(each, held=True) for each in never_left(messages, reason, until)]


def _zones(messages: Sequence[TriggerMessage]) -> dict[int, str]:
    """Return the time zones of the sites of the devices, by attempt, of those whose site names one. One query."""
    named = Attempt.objects.filter(pk__in=[message.attempt for message in messages]).exclude(
        target__device__site__time_zone__in=["", None]
    )
    return dict(named.filter(target__device__site__isnull=False).values_list("pk", "target__device__site__time_zone"))
