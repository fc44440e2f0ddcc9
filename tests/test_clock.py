"""Only edges read the clock: whatever stands below them is told what time it is, so that it runs on a virtual one."""

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("inventory", "revocation", "renewal", "certportal")
# What people, devices, workers or the shell call.
EDGES = (
    "*/admin.py",
    "*/admin/*.py",
    "*/api.py",
    "*/api/*.py",
    "*/jobs.py",
    "*/management/commands/*.py",
    "*/views.py",
    "certportal/access.py",
    "certportal/cron.py",
    "certportal/expired_queue.py",
    "certportal/queue_pages.py",
    "certportal/site.py",
    "renewal/callbacks.py",
    "renewal/protocols/est/views.py",
    # It compares the clock of this host with that of the database.
    "certportal/health/stores.py",
)
# What is the time by: `monotonic` measures, and says nothing of what time it is.
CLOCKS = {
    ("timezone", "now"), ("timezone", "localtime"), ("timezone", "localdate"), ("datetime", "now"),
    ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time"), ("time", "time_ns"),
    ("time", "gmtime"), ("time", "localtime"),
}  # fmt: skip


def clock_reads(source: str) -> Iterator[int]:
    """Yield the lines that name a clock, called or handed on, under whatever name it was imported."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=name):
                if (owner, name) in CLOCKS:
                    yield node.lineno
            case ast.ImportFrom(module=module, names=names):
                owner = (module or "").rpartition(".")[2]
                yield from (node.lineno for alias in names if (owner, alias.name) in CLOCKS)


def test_only_edges_read_the_clock():
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if "migrations" not in path.parts and not any(fnmatch(str(path.relative_to(ROOT)), edge) for edge in EDGES)
        for line in clock_reads(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "from django.utils import timezone\nnow = timezone.now()",
        "from django.utils import timezone\nwork(run, timezone.now)",
        "import datetime\nnow = datetime.datetime.now(datetime.UTC)",
        "from datetime import date\nday = date.today()",
        "from time import time\nstarted = time()",
        "import time\nstarted = time.time()",
        "from django.utils.timezone import now as moment\nmoment()",
    ],
)
def test_a_clock_is_found_however_it_is_read(source):
    assert list(clock_reads(source))


@pytest.mark.parametrize("source", ["time.monotonic()", "report.now(x)", "def f(now): return now", "datetime.now_ish"])
def test_what_measures_or_is_told_the_time_is_no_clock(source):
    assert not list(clock_reads(source))
