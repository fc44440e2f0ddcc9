"""How many messages of a campaign may leave now: a bucket that fills by the minute. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

_MINUTE = timedelta(minutes=1)
# The first tick has as much as a second gives.
_AT_FIRST = timedelta(seconds=1)


@dataclass(frozen=True)
class Room:
    """How many messages may leave: `saved` is what has been saved up for them, fractions too."""

    saved: float

    @property
    def messages(self) -> int:
        return int(self.saved)

    def after(self, sent: int) -> float:
        """Return what is left when `sent` messages have left."""
        return max(self.saved - sent, 0.0)


def room(a_minute: int, left: float, ticked_at: datetime | None, now: datetime) -> Room:
    """Return the room of a tick at `now`, when the one at `ticked_at`, None for none, left `left`.

    Never more than a minute's worth, however long nothing went out; and at the first tick at least one message.
    """
    if ticked_at is None:
        return Room(max(a_minute * (_AT_FIRST / _MINUTE), 1.0))
    passed = max(now - ticked_at, timedelta(0))
    return Room(min(left + a_minute * (min(passed, _MINUTE) / _MINUTE), float(a_minute)))
