"""What works behind the pages: workers, queues, cron and the broker."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import django_rq
from django.conf import settings
from rq import Worker
from rq.utils import utcparse

from certportal.cron import last_beat
from certportal.health.findings import Finding
from inventory.importing import runs
from renewal.channels import mqtt
from renewal.models import ChannelTrouble
from renewal.simulation import rehearsing

_BEAT_MAY_BE_OLD = timedelta(minutes=3)
# A worker beats each half minute at work, and at least once in WORKER_SECONDS at rest.
_WORKER_MAY_BE_SILENT = timedelta(seconds=settings.RQ_WORKER_SECONDS + 30)
_BROKER_SECONDS = 3.0
# Of imports that stand still.
_NAMED = 3


def workers(now: datetime) -> Iterator[Finding]:
    """Count those whose heartbeat is fresh. RQ's own register knows none after a flush, and the dead for minutes."""
    beats = _heartbeats()
    alive = [name for name, beat in beats.items() if now - beat <= _WORKER_MAY_BE_SILENT]
    silent = [f"{name} for {int((now - beats[name]).total_seconds())} s" for name in beats.keys() - set(alive)]
    fact = f"{len(alive)} alive" + (f", silent: {', '.join(sorted(silent))}" if silent else "")
    problem = ""
    if not alive:
        start = f"manage.py rqworker --with-scheduler --worker-ttl {settings.RQ_WORKER_SECONDS} urgent default"
        problem = f"No worker is alive ({fact}); start {start}."
    yield Finding("workers", fact, problem)


def _heartbeats() -> dict[str, datetime]:
    """Return when each worker last beat, but for those of long runs alone, which do nothing that cannot wait.

    A worker that lives writes its hash again after a flush, without its queues.
    """
    redis = django_rq.get_connection("default")
    prefix = Worker.redis_worker_namespace_prefix
    # Beside the workers' own hashes are lists of what they execute.
    names = [key.decode() for key in redis.scan_iter(match=f"{prefix}*", count=1000, _type="hash")]
    told = ((name, *redis.hmget(name, "last_heartbeat", "queues")) for name in names)
    return {
        name.removeprefix(prefix): utcparse(beat.decode())
        for name, beat, queues in told
        if beat and queues != rehearsing.QUEUE.encode()
    }


def queues(_now: datetime) -> Iterator[Finding]:
    for name in settings.RQ_QUEUES:
        yield Finding(f"queue {name}", f"{django_rq.get_queue(name).count} jobs wait")


def heartbeat(now: datetime) -> Iterator[Finding]:
    beat = last_beat()
    if beat is None or now - beat > _BEAT_MAY_BE_OLD:
        seen = f"last beat at {beat:%Y-%m-%d %H:%M:%S}" if beat else "it never beat"
        yield Finding("cron", seen, f"Cron or the workers stand still ({seen}); look after manage.py cron.")
    else:
        yield Finding("cron", f"beat {int((now - beat).total_seconds())} s ago")


def broker(_now: datetime) -> Iterator[Finding]:
    """The broker that campaigns send triggers to must let us in. Without one and without a demo there is none."""
    if not settings.MQTT_URL and settings.DEMO_DEVICES <= 0:
        return
    found = mqtt.Broker.from_url(settings.MQTT_BROKER_URL)
    where = f"{found.host}:{found.port}"
    refusal = mqtt.why_unreachable(found, _BROKER_SECONDS)
    problem = f"{where} cannot be used ({refusal}): campaigns reach no device over MQTT." if refusal else ""
    yield Finding("broker", f"answers at {where}", problem)


def imports(now: datetime) -> Iterator[Finding]:
    stuck = runs.stuck(now)
    names = ", ".join(str(run) for run in stuck[:_NAMED])
    problem = f"Imports stand still: {names}. Look at the workers, or go on with import_inventory --resume."
    yield Finding("imports", f"{len(stuck)} stand still", problem if stuck else "")


def rehearsals(now: datetime) -> Iterator[Finding]:
    stuck = rehearsing.stuck(now)
    if stuck is None:
        yield Finding("what-if runs", "none stands still")
        return
    problem = (
        f"What-if run {stuck} stands still since {stuck.worked_at:%Y-%m-%d %H:%M}: no worker takes the queue "
        f"{rehearsing.QUEUE}. Start manage.py rqworker --worker-ttl {settings.RQ_WORKER_SECONDS} {rehearsing.QUEUE}."
    )
    yield Finding("what-if runs", f"{stuck} stands still", problem)


def channels(now: datetime) -> Iterator[Finding]:
    """A channel is looked at when a campaign sends: one that nobody uses is in no trouble."""
    for trouble in ChannelTrouble.objects.current(now):
        fact = f"tried {trouble.tries} times in vain"
        problem = (
            f"No trigger leaves since {trouble.since:%Y-%m-%d %H:%M}: {trouble.problem}. Look there; "
            f"no device loses an attempt, the next try is at {trouble.next_try_at:%H:%M}."
        )
        yield Finding(f"channel {trouble}", fact, problem)
