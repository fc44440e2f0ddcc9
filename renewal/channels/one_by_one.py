"""Sending messages one at a time over a few connections at once, and stopping where going on does harm."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from renewal.channels.messages import Delivery, Fate, TriggerMessage, never_left

_CONNECTIONS = 8
# All refused and none taken: then it is not the numbers. Those refused are tried no more, so these are few.
_MOST_REFUSED_AT_FIRST = 20


def send_each(messages: Sequence[TriggerMessage], send: Callable[[TriggerMessage], Delivery]) -> list[Delivery]:
    """Send each message by `send`, which raises nothing and touches no database: it runs on threads.

    Where one does not leave or is in doubt, those under way are ended and the rest is kept: a gateway that hangs has
    a few in doubt, not all. Messages are independent: their order is not kept.
    """
    state = _State()

    def one(message: TriggerMessage) -> Delivery:
        if state.stopped:
            return never_left([message], state.stopped)[0]
        delivery = send(message)
        state.note(delivery)
        return delivery

    with ThreadPoolExecutor(min(_CONNECTIONS, max(len(messages), 1))) as pool:
        return list(pool.map(one, messages))


class _State:
    """What was learned of the gateway in this batch; asked from all threads."""

    def __init__(self) -> None:
        self.stopped = ""
        self._refused = 0
        self._taken = False
        self._lock = threading.Lock()

    def note(self, delivery: Delivery) -> None:
        with self._lock:
            match delivery.fate:
                case Fate.TAKEN:
                    self._taken = True
                case Fate.REFUSED:
                    self._refused += 1
                    if not self._taken and self._refused >= _MOST_REFUSED_AT_FIRST:
                        self.stopped = f"the gateway refuses every message: {delivery.detail}"
                case Fate.NEVER_LEFT | Fate.IN_DOUBT:
                    self.stopped = delivery.detail
