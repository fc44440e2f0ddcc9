"""A channel that keeps what it was given, for tests and dry runs."""

from collections.abc import Sequence

from renewal.channels.messages import Delivery, TriggerMessage


class RecordingChannel:
    """Accepts every message, unless it was told to refuse all with `failure`."""

    def __init__(self, failure: str = "") -> None:
        self.sent: list[TriggerMessage] = []
        self.failure = failure

    def send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        if not self.failure:
            self.sent.extend(messages)
        return [Delivery(message.attempt, not self.failure, self.failure) for message in messages]
