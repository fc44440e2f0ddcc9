"""Asking the workers for publications. What gets lost is found again by the sweep."""

from inventory.job_claims import Claim
from revocation.scopes import Scope

URGENT, SCHEDULED = "urgent", "default"
_FAILURES_KEPT_SECONDS = 24 * 3600


def _claim(scope: Scope, queue: str) -> Claim:
    return Claim(queue, f"publish CRL {scope}")


def enqueue_publication(scope: Scope, queue: str) -> bool:
    """Enqueue the publication of `scope`, unless a job that has not begun is about to do it. Return whether it did."""
    return _claim(scope, queue).enqueue(
        "revocation.jobs.publish_crl", scope.authority, scope.shard, queue, failure_ttl=_FAILURES_KEPT_SECONDS
    )


def begin_publication(scope: Scope, queue: str) -> None:
    """Let the next request for `scope` make a job of its own. Call it before rows are read."""
    _claim(scope, queue).begin()
