"""The interface of channels: each takes a batch of messages and returns a delivery for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol


@dataclass(frozen=True)
class TriggerMessage:
    """A request to one device to renew its certificate. It holds no secret: the device authenticates by its key.

    `address` is the channel's own: an MQTT client id, a phone number in E.164, nothing for a webhook. After
    `valid_until` the message is worthless.
    """

    attempt: int
    fleet: str
    device: str
    address: str
    campaign: int
    renew_before: str
    est_url: str
    valid_until: datetime


class Fate(Enum):
    """What became of a message, as far as the channel knows."""

    TAKEN = "the next hop took charge of it"
    NEVER_LEFT = "it certainly did not leave: it costs the device nothing"
    IN_DOUBT = "it was handed over, but nobody said that it arrived"
    REFUSED = "the next hop refuses it for good: over this channel the device is not to be reached"


@dataclass(frozen=True)
class Delivery:
    """The fate of one message, and the reason when it was not taken."""

    attempt: int
    fate: Fate
    detail: str = ""
    # The gateway's own id of the message, by which its receipts name it.
    reference: str = ""


class TriggerChannel(Protocol):
    def send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        """Send all `messages` and return one delivery for each, in any order. A failed message raises nothing."""
