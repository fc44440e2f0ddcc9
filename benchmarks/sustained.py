"""Issuing for minutes: processes that issue by the thousand until the time is over, beside a public design target."""

import multiprocessing
import time
from datetime import UTC, datetime, timedelta
from multiprocessing.queues import Queue

from django.db import connections

from benchmarks import portal
from benchmarks.figure import Figure
from inventory.issuing.certificates import Admission, issue_many
from inventory.x509.csr import parse

# What Let's Encrypt designs for on its worst day: every certificate that it has, 200 million, again in 24 hours.
_WORST_DAY = Figure("lets_encrypts_worst_day", 200_000_000 / 86_400, "certificates/s")
_PROCESSES = 2
_BATCH = 1000
# Each process issues to as many devices, again and again.
_DEVICES = 10_000


def run(span: timedelta) -> list[Figure]:
    """Issue for `span` in two processes, from certification requests to durable rows and audit events."""
    fresh = multiprocessing.get_context("fork")
    finished: Queue[list[float]] = fresh.Queue()
    admissions = portal.admissions(_PROCESSES * _DEVICES)
    shares = [admissions[number::_PROCESSES] for number in range(_PROCESSES)]
    connections.close_all()
    started = time.monotonic()
    end = started + span.total_seconds()
    workers = [fresh.Process(target=_work, args=(share, end, finished)) for share in shares]
    for worker in workers:
        worker.start()
    batches = sorted(moment - started for _ in workers for moment in finished.get())
    for worker in workers:
        worker.join()
    seconds = max(batches)
    fifth = seconds / 5
    last = sum(moment > seconds - fifth for moment in batches) * _BATCH / fifth
    sustained = Figure("P19", len(batches) * _BATCH / seconds, "certificates/s")
    return [
        sustained.beside(_WORST_DAY).asked(floor=0.5, aim=1),
        Figure("issue.sustained_s", seconds, "s"),
        Figure("issue.sustained_last_fifth_per_s", last, "certificates/s").beside(sustained),
    ]


def _work(share: list[Admission], end: float, finished: "Queue[list[float]]") -> None:
    """Issue batches until `end`, and tell when each was committed."""
    requests, moments, start = portal.spare_requests(), [], 0
    while time.monotonic() < end:
        chosen = [share[(start + number) % len(share)] for number in range(_BATCH)]
        proven = [
            portal.with_request(admission, parse(requests[number % len(requests)]))
            for number, admission in enumerate(chosen)
        ]
        issue_many(proven, datetime.now(UTC))
        moments.append(time.monotonic())
        start += _BATCH
    finished.put(moments)
