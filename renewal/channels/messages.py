"""What a channel carries, and what it says of it. Every channel takes a batch of messages and answers for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class TriggerMessage:
    """A request to one device to renew its certificate. It holds no secret: the device authenticates by its key."""

    attempt: int
    fleet: str
    mqtt_id: str
    campaign: int
    renew_before: str
    est_url: str


@dataclass(frozen=True)
class Delivery:
    """What became of one message: whether the next hop took charge of it, and if not, why."""

    attempt: int
    accepted: bool
    detail: str = ""


class TriggerChannel(Protocol):
    def send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        """Hand all `messages` over and return one delivery for each, in any order. Never raises for one of them."""
