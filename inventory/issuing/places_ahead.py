"""The place of the next certificate, drawn in the statement that stores the one before.

So one certificate after the other takes one question each to the database, not two. A session of the database does so
only while its certificates follow each other within a second, and what it has drawn serves for a second. So places are
in the order of time as before, but for a second, and a session leaves at most one gap each time that it stops.

They belong to the session: PostgreSQL may give a number again that was drawn before a crash, which ends all sessions.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from inventory import prepared
from inventory.issuing.serial_numbers import Place
from inventory.models import Authority

_SOON = timedelta(seconds=1)


@dataclass(slots=True)
class Ahead:
    """When a session last stored a certificate of an authority, and the place that it drew then for the next."""

    stored_at: datetime | None = None
    _place: Place | None = None

    def take(self, now: datetime) -> Place | None:
        """Return the place that was drawn, once, and only soon after."""
        place, self._place = self._place, None
        return place if self.follows_soon(now) else None

    def follows_soon(self, now: datetime) -> bool:
        """Return whether a certificate of `now` follows another so soon that the next may, too."""
        return self.stored_at is not None and timedelta(0) <= now - self.stored_at < _SOON

    def keep(self, place: Place | None, now: datetime) -> None:
        """Note that a certificate was stored, and a place drawn for the next, or none."""
        self.stored_at, self._place = now, place


_of_sessions: WeakKeyDictionary[Any, dict[int, Ahead]] = WeakKeyDictionary()


def of(issuer: Authority) -> Ahead:
    """Return what this session has drawn ahead for certificates of `issuer`."""
    return _of_sessions.setdefault(prepared.session(), {}).setdefault(issuer.pk, Ahead())
