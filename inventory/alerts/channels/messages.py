"""What a channel carries, and what it says of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True)
class Message:
    """One digest for one address. `id` is the same on every repetition."""

    id: str
    address: str
    subject: str
    text: str
    content: dict[str, Any]
    url: str
    sent_at: datetime


@dataclass(frozen=True)
class Handover:
    """Whether the next hop accepted the message and, if not, why."""

    accepted: bool
    problem: str = ""


class Channel(Protocol):
    def send(self, message: Message) -> Handover:
        """Send `message`. A next hop that is down or refuses is a result, not an exception."""
