"""Jobs of the inventory. Each can be lost, repeated or run beside itself; what is due is found in rows."""

import contextlib
from dataclasses import asdict
from uuid import UUID

import django_rq
import structlog
from django.utils import timezone
from rq import Retry
from rq.exceptions import DuplicateJobError

from inventory.alerts import delivering, settling
from inventory.alerts.sweep import Swept, sweep, sweep_own
from inventory.approvals import deciding
from inventory.counters import checking, folding
from inventory.expiry import cliff_watch
from inventory.importing import runs, uploads
from inventory.importing.loading import deferred_indexes
from inventory.models import ImportRun

log = structlog.get_logger(__name__)

_RETRIES_AFTER_SECONDS = [30, 120, 600]
_FAILED_WAITS_SECONDS = 60
# After an import autovacuum would come too late.
_MANY = 10_000
# Of a broken counter's rows, this many are named in the log; the command names them all.
_NAMED = 20


def work_on_import(run_id: int) -> None:
    """Do an uploaded import, or go on with it; nothing when it has ended or another worker has it."""
    uploads.claim(run_id).begin()
    run = ImportRun.objects.get(pk=run_id)
    try:
        run = uploads.work(run, timezone.now)
    except runs.BusyElsewhere:
        return
    except runs.Stopped as stopped:
        log.warning("import_stopped", run=run_id, why=str(stopped))
        return
    log.info("import_worked_on", run=run_id, state=run.state, records=run.records, rejected=run.rejected)


def sweep_imports() -> None:
    """Enqueue uploaded imports whose job was lost, and make indexes that a killed import has put off."""
    for run in uploads.left_alone():
        uploads.enqueue(run.pk)
    for run in ImportRun.objects.exclude(put_off=[]):
        if runs.nobody_works_on(run):
            deferred_indexes.make_up_for(run)


class NotDelivered(Exception):
    """A digest was not taken; the queue tries again."""


def sweep_alerts() -> None:
    """Bring all alerts to now and put every digest that waits into the queue, those of earlier sweeps too."""
    _finish(sweep(timezone.now()))


def sweep_own_alerts() -> None:
    """Do the same for the portal's own only, which cannot wait and cost little."""
    _finish(sweep_own(timezone.now()))


def settle_alerts() -> None:
    """End the alerts of devices that renewed, were revoked or went out of service a moment ago."""
    settled = settling.settle(timezone.now())
    if settled:
        log.info("alerts_settled", number=settled)


def _finish(done: Swept | None) -> None:
    if done is not None and done != Swept():
        log.info("alerts_swept", **asdict(done))
    enqueue_deliveries()


def enqueue_deliveries() -> None:
    queue = django_rq.get_queue("default")
    for pk in delivering.waiting(timezone.now()):
        with contextlib.suppress(DuplicateJobError):
            queue.enqueue(
                deliver_alerts,
                str(pk),
                job_id=f"alert-digest-{pk}",
                unique=True,
                retry=Retry(max=len(_RETRIES_AFTER_SECONDS), interval=_RETRIES_AFTER_SECONDS),
                result_ttl=0,
                failure_ttl=_FAILED_WAITS_SECONDS,
            )


def deliver_alerts(pk: str) -> None:
    """Send one digest. Raises NotDelivered."""
    outcome = delivering.deliver(UUID(pk), timezone.now())
    if not outcome.accepted:
        raise NotDelivered(outcome.problem)


def expire_proposals() -> None:
    """Expire proposals that nobody decided on in time."""
    expired = deciding.expire(timezone.now())
    if expired:
        log.info("proposals_expired", number=expired)


def fold_counters() -> None:
    """Fold the deltas written by triggers into the counts."""
    folded = folding.fold_all()
    if folded:
        log.info("counters folded", deltas=folded)
    if folded >= _MANY:
        folding.tidy()


def check_counters() -> None:
    """Verify counters; log mismatches as errors and repair them."""
    folding.forget_nothing()
    wrong = checking.differences()
    if wrong:
        log.error("counters were wrong", number=len(wrong), differences=[str(each) for each in wrong[:_NAMED]])
        checking.repair()


def watch_cliffs() -> None:
    """Detect days on which new certificates make too large a share of a fleet expire."""
    cliff_watch.watch(timezone.now())
