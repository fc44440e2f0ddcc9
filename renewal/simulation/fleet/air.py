"""The air between the product and the meters: channels that take every message and know when it arrives."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from renewal.channels.messages import Delivery, Fate, TriggerMessage
from renewal.models import Channel
from renewal.simulation.fleet.planting import number_of
from renewal.simulation.fleet.world import World

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Arrival:
    meter: int
    channel: Channel


class Air:
    """Messages under way, by the hour in which they arrive: those over MQTT wait at the broker, SMS at the operator."""

    def __init__(self, world: World, start: datetime) -> None:
        self._world = world
        self._start = start
        self._under_way: defaultdict[int, list[Arrival]] = defaultdict(list)
        self._of_meter: Counter[int] = Counter()
        self.now = start
        self.sent: Counter[Channel] = Counter()

    def hours(self, moment: datetime) -> float:
        return (moment - self._start) / _HOUR

    def route(self, channel: Channel) -> "Way | None":
        """Return the way over a channel, as `ticking.tick` asks for it."""
        if channel is Channel.MQTT or (channel is Channel.SMS and self._world.scenario.sms_in_use >= 1):
            return Way(self, channel)
        return None

    def take(self, channel: Channel, message: TriggerMessage) -> None:
        meter, latest = number_of(message.device), self.hours(message.valid_until)
        hour = self.hours(self.now)
        self.sent[channel] += 1
        if channel is Channel.MQTT:
            arrives = self._world.next_contact(meter, hour, latest)
        else:
            self._of_meter[meter] += 1
            arrives = self._world.sms_arrives(meter, self._of_meter[meter], hour, latest)
        if arrives is not None:
            self._under_way[int(arrives)].append(Arrival(meter, channel))

    @property
    def next_hour(self) -> float:
        """The first hour at which a message has arrived."""
        return min(self._under_way, default=math.inf) + 1

    def arrived(self, since: int, before: int) -> list[Arrival]:
        """Take out what arrives in the hours `since <= hour < before`."""
        return [arrival for hour in range(since, before) for arrival in self._under_way.pop(hour, ())]


@dataclass(frozen=True)
class Way:
    """One channel of the air, as the product sees it."""

    air: Air
    channel: Channel

    def send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        for message in messages:
            self.air.take(self.channel, message)
        return [Delivery(message.attempt, Fate.TAKEN) for message in messages]

    def room(self, wanted: int, now: datetime) -> int:
        """The air takes what it is given."""
        return wanted

    def note(self, deliveries: Sequence[Delivery], now: datetime) -> datetime:
        """Nothing ever fails to leave."""
        return now
