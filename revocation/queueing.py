"""Enqueues publications of CRLs. The sweep finds those whose job was lost."""

from inventory.job_claims import Claim
from revocation.scopes import Scope

URGENT, SCHEDULED = "urgent", "default"
_FAILURES_KEPT_SECONDS = 24 * 3600


def _claim(scope: Scope, queue: str) -> Claim:
    return Claim(queue, f"publish CRL {scope}")


def enqueue_publication(scope: Scope, queue: str) -> bool:
    """Enqueue the publication of `scope`, unless such a job is waiting. Return whether it was enqueued."""
    return _claim(scope, queue).enqueue(
        "revocation.jobs.publish_crl", scope.authority, scope.shard, queue, failure_ttl=_FAILURES_KEPT_SECONDS
    )


def begin_publication(scope: Scope, queue: str) -> None:
    """Release the claim on `scope`, so that the next request makes a new job. Call it before rows are read."""
    _claim(scope, queue).begin()
