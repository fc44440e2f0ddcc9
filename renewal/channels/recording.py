"""A channel that keeps what it was given, for tests and dry runs."""

from collections.abc import Sequence

from renewal.channels.messages import Delivery, Fate, TriggerMessage


class RecordingChannel:
    """Takes every message, or the first `takes` of each batch; the others meet `fate`, for the reason `detail`."""

    def __init__(self, *, takes: int | None = None, fate: Fate = Fate.NEVER_LEFT, detail: str = "") -> None:
        self.sent: list[TriggerMessage] = []
        self.batches: list[int] = []
        self._takes = takes
        self._fate = fate
        self._detail = detail

    def send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        takes = len(messages) if self._takes is None else self._takes
        self.batches.append(len(messages))
        self.sent.extend(messages[:takes])
        return [
            *(Delivery(message.attempt, Fate.TAKEN) for message in messages[:takes]),
            *(Delivery(message.attempt, self._fate, self._detail) for message in messages[takes:]),
        ]
