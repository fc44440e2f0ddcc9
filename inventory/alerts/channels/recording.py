"""A channel that keeps what it was given, for tests and dry runs."""

from inventory.alerts.channels.messages import Handover, Message


class RecordingChannel:
    """Accepts every message, unless it was told to refuse all with `problem`."""

    def __init__(self, problem: str = "") -> None:
        self.sent: list[Message] = []
        self.problem = problem

    def send(self, message: Message) -> Handover:
        if not self.problem:
            self.sent.append(message)
        return Handover(not self.problem, self.problem)
