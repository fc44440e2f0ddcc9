"""Requests that come while others are decided on are decided on together next: a batch costs little more than one.

A fleet that wakes at once is served several times as fast, and nobody waits for company: who comes alone is decided on
at once, and who comes second waits for the batch before, at most for PATIENCE_SECONDS. Whatever keeps a batch from its
end, as a device that somebody has locked, keeps the others up no longer: then each request goes by itself.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import Enum

import structlog
from django.db import connection

from inventory.models import Certificate
from renewal import enrolling
from renewal.refusals import Refusal
from renewal.requests import Request

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 0.1
MOST = 64
_LONGEST_LOCK = timedelta(milliseconds=200)


class _Turn(Enum):
    """What a request that has waited is to do."""

    DECIDED = "take its outcome"
    ALONE = "go by itself"
    LEAD = "decide on itself and on all that wait"


class _Asked:
    """A request that waits, until it is told its turn."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.told = threading.Event()
        self.turn: _Turn | None = None
        self.outcome: Certificate | Refusal | None = None

    def tell(self, turn: _Turn, outcome: Certificate | Refusal | None = None) -> None:
        self.turn, self.outcome = turn, outcome
        self.told.set()


class Gathering:
    """The requests of one process that are under way. `clock` says when they are decided on."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[_Asked] = deque()
        self._leaders = 0

    def outcome(self, request: Request) -> Certificate | Refusal:
        """Decide on `request` and carry it out, with others where there are any. See `enrolling.admit_many`."""
        if connection.in_atomic_block:
            # What the caller does in a transaction of its own must not be in that of another.
            return self._alone(request)
        own = _Asked(request)
        if self._joins(own) and not own.told.wait(PATIENCE_SECONDS):
            self._wait_no_longer(own)
        own.told.wait()
        match own.turn:
            case _Turn.LEAD:
                return self._lead(own)
            case _Turn.ALONE:
                return self._alone(request)
        assert own.outcome
        return own.outcome

    def _joins(self, own: _Asked) -> bool:
        """Return whether others are decided on, and `own` waits for them; else it leads."""
        with self._lock:
            if self._leaders:
                self._waiting.append(own)
                return True
            self._leaders += 1
        own.tell(_Turn.LEAD)
        return False

    def _wait_no_longer(self, own: _Asked) -> None:
        with self._lock:
            if own not in self._waiting:
                # It is being decided on by now.
                return
            self._waiting.remove(own)
            self._leaders += 1
        own.tell(_Turn.LEAD)

    def _lead(self, own: _Asked) -> Certificate | Refusal:
        with self._lock:
            others = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST - 1))]
        outcomes: Sequence[Certificate | Refusal] = ()
        try:
            outcomes = self._decided([own.request, *(each.request for each in others)])
        finally:
            self._pass_on()
            for number, each in enumerate(others, start=1):
                if outcomes:
                    each.tell(_Turn.DECIDED, outcomes[number])
                else:
                    each.tell(_Turn.ALONE)
        return outcomes[0] if outcomes else self._alone(own.request)

    def _pass_on(self) -> None:
        with self._lock:
            self._leaders -= 1
            if self._leaders or not self._waiting:
                return
            self._leaders += 1
            following = self._waiting.popleft()
        following.tell(_Turn.LEAD)

    def _alone(self, request: Request) -> Certificate | Refusal:
        [outcome] = enrolling.admit_many([request], self._clock())
        return outcome

    def _decided(self, requests: Sequence[Request]) -> Sequence[Certificate | Refusal]:
        """Decide on all; return nothing, with nothing done, when something keeps several from it."""
        if len(requests) == 1:
            return enrolling.admit_many(requests, self._clock())
        try:
            return enrolling.admit_many(requests, self._clock(), longest_lock=_LONGEST_LOCK)
        except Exception as error:  # noqa: BLE001 - whatever one request brings about must not be the others' fault
            log.warning("requests go one by one", requests=len(requests), why=str(error))
            return ()
