"""Asking the workers for publications. Whatever gets lost here is found again by the sweep: the truth is in rows."""

import django_rq
import structlog

from revocation.scopes import Scope

log = structlog.get_logger(__name__)

URGENT, SCHEDULED = "urgent", "default"
# How long a job may wait in its queue before another may be put beside it.
_CLAIM_SECONDS = 60


def _claim(scope: Scope, queue: str) -> str:
    return f"certportal:crl-publication:{queue}:{scope}"


def enqueue_publication(scope: Scope, queue: str) -> bool:
    """Enqueue the publication of `scope`, unless a job that has not begun is about to do it. Return whether it did.

    The claim ends when the job begins, so a thousand revocations make a handful of jobs, and one that comes after the
    job has read its rows makes another. A unique job id would swallow that one.
    """
    if not django_rq.get_connection(queue).set(_claim(scope, queue), 1, nx=True, ex=_CLAIM_SECONDS):
        return False
    django_rq.get_queue(queue, commit_mode="auto").enqueue(
        "revocation.jobs.publish_crl",
        scope.authority,
        scope.shard,
        queue,
        description=f"publish CRL {scope}",
        result_ttl=0,
        failure_ttl=24 * 3600,
    )
    return True


def begin_publication(scope: Scope, queue: str) -> None:
    """Let the next request for `scope` make a job of its own. Call it before rows are read."""
    django_rq.get_connection(queue).delete(_claim(scope, queue))
