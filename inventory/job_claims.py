"""Jobs that are not queued twice. A lost claim or job loses nothing: every job finds its work in rows."""

from dataclasses import dataclass
from typing import Any

import django_rq

# How long a job may wait in its queue before another may be put beside it.
_CLAIM_SECONDS = 60


@dataclass(frozen=True)
class Claim:
    """Deduplicates one queued job, called `name`, in `queue`.

    A claim ends when its job begins, or by itself after a minute if the job is lost. So a thousand requests make a
    handful of jobs, and a request that comes after the job has read its rows makes another. A unique job id would drop
    that request, and would block the next for as long as RQ keeps a failed or killed job.
    """

    queue: str
    name: str

    @property
    def _key(self) -> str:
        return f"certportal:queued:{self.queue}:{self.name}"

    def enqueue(self, function: str, *arguments: Any, failure_ttl: int) -> bool:
        """Enqueue `function` (dotted path), unless such a job is waiting. Return whether it was enqueued."""
        if not django_rq.get_connection(self.queue).set(self._key, 1, nx=True, ex=_CLAIM_SECONDS):
            return False
        django_rq.get_queue(self.queue, commit_mode="auto").enqueue(
            function, *arguments, description=self.name, result_ttl=0, failure_ttl=failure_ttl
        )
        return True

    def begin(self) -> None:
        """Release the claim, so that the next request makes a new job. The job calls it before it reads rows."""
        django_rq.get_connection(self.queue).delete(self._key)
