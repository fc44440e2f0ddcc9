"""Jobs that are not queued twice. Whatever gets lost here is found again by whoever asks next: the truth is in rows."""

from dataclasses import dataclass
from typing import Any

import django_rq

# How long a job may wait in its queue before another may be put beside it.
_CLAIM_SECONDS = 60


@dataclass(frozen=True)
class Claim:
    """The right to put one job called `name` into `queue`. It ends when the job begins, or by itself when it is lost.

    So a thousand requests make a handful of jobs, and one that comes after the job has read its rows makes another. A
    unique job id would swallow that one, and would bar the next for as long as a failed or a killed job is kept.
    """

    queue: str
    name: str

    @property
    def _key(self) -> str:
        return f"certportal:queued:{self.queue}:{self.name}"

    def enqueue(self, function: str, *arguments: Any, failure_ttl: int) -> bool:
        """Enqueue `function` (dotted), unless a job that has not begun is about to run it. Return whether it did."""
        if not django_rq.get_connection(self.queue).set(self._key, 1, nx=True, ex=_CLAIM_SECONDS):
            return False
        django_rq.get_queue(self.queue, commit_mode="auto").enqueue(
            function, *arguments, description=self.name, result_ttl=0, failure_ttl=failure_ttl
        )
        return True

    def begin(self) -> None:
        """Let the next request make a job of its own. The job calls it before it reads rows."""
        django_rq.get_connection(self.queue).delete(self._key)
