"""The interface of channels: each takes a batch of messages and returns a delivery for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol


@dataclass(frozen=True)
class TriggerMessage:
    """A request to one device to renew its certificate. It holds no secret: the device authenticates by its key."""

    attempt: int
    """Key of the Attempt row: receipts and repetitions go by it."""
    fleet: str
    """Slug."""
    device: str
    """Serial number."""
    address: str
    """The channel's own: MQTT client id, phone number in E.164, empty for a webhook."""
    campaign: int
    renew_before: str
    """ISO 8601."""
    est_url: str
    valid_until: datetime
    """Worthless after: expiry of an MQTT 5 message, validity period of an SMS."""


class Fate(Enum):
    """What became of a message, as far as the channel knows."""

    TAKEN = "the next hop took charge of it"
    NEVER_LEFT = "it certainly did not leave: it costs the device nothing"
    IN_DOUBT = "it was handed over, but nobody said that it arrived"
    REFUSED = "the next hop refuses it for good, as for an unknown number: it is tried no more over this channel"


@dataclass(frozen=True)
class Delivery:
    """The fate of one message, and the reason when it was not taken."""

    attempt: int
    fate: Fate
    detail: str = ""
    reference: str = ""
    """The gateway's own id of the message, by which receipts name it."""
    retry_at: datetime | None = None
    """Of a message that never left: not before then. None: as the trouble of the channel says."""
    held: bool = False
    """It was the portal that held it back, for quiet hours or a daily cap: the channel is in no trouble."""


class TriggerChannel(Protocol):
    def send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        """Send all `messages` and return one delivery for each, in any order. A failed message raises nothing."""


def never_left(messages: Sequence[TriggerMessage], reason: str, retry_at: datetime | None = None) -> list[Delivery]:
    """Return what is said of messages that certainly did not leave."""
    return [Delivery(message.attempt, Fate.NEVER_LEFT, reason[:200], retry_at=retry_at) for message in messages]
