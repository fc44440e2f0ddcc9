"""SMS to nowhere, for demonstrations: the last are kept, and each is a line of the worker's log."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.core.cache import cache

from renewal.channels import sms_text
from renewal.channels.messages import Delivery, Fate, TriggerMessage
from renewal.channels.phone_numbers import NOT_E164, is_e164

log = structlog.get_logger(__name__)

_KEPT = 20
_KEPT_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True)
class KeptMessage:
    """One SMS that went nowhere."""

    at: datetime
    number: str
    text: str


class Console:
    """Takes whatever is addressed to a phone number."""

    def __init__(self, *, gateway: int, text: str, clock: Callable[[], datetime]) -> None:
        self._key = _key(gateway)
        self._text = text
        self._clock = clock

    def send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        now = self._clock()
        kept: list[KeptMessage] = []
        deliveries = []
        for message in messages:
            if not is_e164(message.address):
                deliveries.append(Delivery(message.attempt, Fate.REFUSED, NOT_E164))
                continue
            text = sms_text.text_of(message, self._text)
            log.info("sms", number=message.address, text=text)
            kept.append(KeptMessage(now, message.address, text))
            deliveries.append(Delivery(message.attempt, Fate.TAKEN, reference=str(message.attempt)))
        # Two batches at once may lose lines of what is for the eye alone.
        cache.set(self._key, [*reversed(kept), *cache.get(self._key, [])][:_KEPT], _KEPT_SECONDS)
        return deliveries


def last(gateway: int) -> list[KeptMessage]:
    """Return the last messages that a console gateway took, newest first."""
    found: list[KeptMessage] = cache.get(_key(gateway), [])
    return found


def _key(gateway: int) -> str:
    return f"certportal:console-sms:{gateway}"
