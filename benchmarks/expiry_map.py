"""The dashboard's numbers from counters, beside GROUP BY over the same rows; and what a write pays for the counters."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any

from django.db import connection
from django.test import Client
from django.urls import reverse

from benchmarks import planted, portal
from benchmarks.figure import Figure
from benchmarks.measuring import ROUNDS, Size, percentile
from certportal.dashboard import expiry_map, needs, tiles, weeks
from certportal.dashboard.scope import Scope
from certportal.models import User
from inventory.audit.record import SYSTEM
from inventory.counters import checking, reading
from inventory.expiry.cliffs import cliffs, start_of
from inventory.issuing.certificates import issue, issue_many
from inventory.jobs import fold_counters
from inventory.models import Axis
from renewal import coverage_counts
from renewal.campaigns import planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.planning import Plan

_DEVICES = {Size.SMALL: 20_000, Size.FULL: 2_200_000}
_SPIKE = {Size.SMALL: 500, Size.FULL: 50_000}
_OLDER_GENERATIONS = 2
_ONE_BY_ONE = {Size.SMALL: 20, Size.FULL: 100}
_BATCH = {Size.SMALL: 200, Size.FULL: 1000}
_HISTOGRAM = """
    SELECT authority_id, (not_after AT TIME ZONE 'UTC')::date, count(*) FROM inventory_certificate
    WHERE purpose = 'device' AND state IN ('issued', 'confirmed') GROUP BY 1, 2"""
_MAP = """
    SELECT site_id, (not_after AT TIME ZONE 'UTC')::date, count(*)
    FROM inventory_certificate JOIN inventory_device ON inventory_device.id = device_id
    WHERE state IN ('issued', 'confirmed') AND not_after >= %s AND not_after < %s GROUP BY 1, 2"""


def run(size: Size) -> list[Figure]:
    with portal.running():
        now = datetime.now(UTC)
        writing = _write_path(size)
        fleet = planted.fleet(_DEVICES[size], now)
        day = now.date() + timedelta(days=60)
        planted.spike(fleet, _SPIKE[size], start_of(day), now)
        fold_counters()
        _assert_named(day, _SPIKE[size], now)
        devices = f"{_DEVICES[size]:_}"
        figures = [*_readings(size, now, f"{devices}_devices"), *_campaign(fleet, size, now)]
        planted.older_certificates(fleet, _OLDER_GENERATIONS, now)
        fold_counters()
        return [*writing, *figures, *_readings(size, now, f"{devices}_devices_x3"), *_check()]


def _assert_named(day: date, count: int, now: datetime) -> None:
    found = cliffs(now)
    assert [cliff.day for cliff in found] == [day], found
    assert found[0].count >= count
    assert found[0].cause is not None and found[0].cause.name == "SPIKE"


def _readings(size: Size, now: datetime, label: str) -> list[Figure]:
    """Measure reads of counters and of rows in turn."""
    today = now.date()
    bounds = [today + timedelta(days=number) for number in range(91)]
    groups = list(reading.largest_groups(Axis.SITE, bounds[0], bounds[-1], most=100).largest)
    whole = date.min, date.max
    sides: dict[str, Callable[[], Any]] = {
        "group_by": lambda: _rows(_HISTOGRAM),
        "histogram": lambda: reading.histogram(Axis.AUTHORITY, *whole),
        "map_group_by": lambda: _rows(_MAP, start_of(bounds[0]), start_of(bounds[-1])),
        "map": lambda: reading.cells(Axis.SITE, bounds, groups),
        "map_20_years": lambda: expiry_map.read(Scope(span=20 * 365), now, []),
        "tiles": lambda: tiles.read(Scope(), datetime.now(UTC)),
        "weeks": lambda: weeks.read(Scope(), datetime.now(UTC)),
        "cliffs": lambda: cliffs(now),
        "needs": lambda: needs.read(Scope(), now, cliffs(now), []),
    }
    _compare(sides["histogram"](), sides["group_by"]())
    assert sides["map"]() == {(site, day): count for site, day, count in sides["map_group_by"]()}
    milliseconds = _interleaved(sides, ROUNDS[size])
    found = {name: Figure(f"expiry_map.{name}_ms_{label}", value, "ms") for name, value in milliseconds.items()}
    ratio = milliseconds["group_by"] / milliseconds["histogram"]
    pages = _pages(size, label)
    return [
        found.pop("group_by"),
        Figure(f"P11_{label}", ratio, "times as fast", f"expiry_map.group_by_ms_{label}", ratio),
        found.pop("map").beside(found["map_group_by"]),
        *found.values(),
        *pages,
    ]


def _compare(ours: list[tuple[Any, ...]], theirs: list[tuple[Any, ...]]) -> None:
    assert sorted(ours) == sorted(theirs), "the counters differ from the rows"


def _rows(statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _interleaved(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    seen: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, act in sides.items():
            started = time.perf_counter()
            act()
            seen[name].append(1000 * (time.perf_counter() - started))
    return {name: median(values) for name, values in seen.items()}


def _pages(size: Size, label: str) -> list[Figure]:
    """Measure what a browser waits for: the whole dashboard and each block, by the server's own clock."""
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get(username="admin"))
    blocks = ("needs", "tiles", "map", "weeks")
    addresses = [reverse("admin:index"), *(reverse("admin:dashboard_block", args=[name]) for name in blocks)]
    addresses += [f"{addresses[0]}?span=7300&rows=batch", f"{addresses[0]}?span=1095&rows=profile"]
    seen = []
    for _ in range(3 * ROUNDS[size]):
        for address in addresses:
            started = time.perf_counter()
            assert client.get(address).status_code == 200
            seen.append(1000 * (time.perf_counter() - started))
    return [Figure(f"expiry_map.dashboard_p95_ms_{label}", percentile(seen, 95), "ms")]


def _campaign(fleet: planted.Planted, size: Size, now: datetime) -> list[Figure]:
    """Plan a campaign for a sixth of the fleet, and measure what it makes of the weeks."""
    selection = Selection(fleet.fleet, now, now + timedelta(days=184))
    planning.plan(Plan("Benchmark", selection, now + timedelta(days=180)), now=now, actor=SYSTEM)
    seconds = _interleaved({"count": lambda: coverage_counts.count_anew(now)}, 3)["count"] / 1000
    read = _interleaved({"weeks": lambda: weeks.read(Scope(), now)}, ROUNDS[size])["weeks"]
    return [
        Figure("expiry_map.count_coverage_in_campaign_s", seconds, "s"),
        Figure("expiry_map.weeks_in_campaign_ms", read, "ms"),
    ]


def _check() -> list[Figure]:
    started = time.perf_counter()
    assert checking.differences() == []
    return [Figure("expiry_map.verify_counters_s", time.perf_counter() - started, "s")]


def _write_path(size: Size) -> list[Figure]:
    """Issue with the triggers of the counters and without, in turn, and compare what each pair took."""
    ratios: dict[str, list[float]] = {"one_by_one": [], "by_1000": []}
    taken: dict[str, list[float]] = {"one_by_one": [], "by_1000": []}
    for number in range(2 * ROUNDS[size]):
        found: dict[tuple[str, bool], float] = {}
        for counted in (number % 2 == 0, number % 2 == 1):
            one, many = portal.admissions(_ONE_BY_ONE[size]), portal.admissions(_BATCH[size])
            _let_triggers(counted)
            issue_many(portal.admissions(1), datetime.now(UTC))
            each = []
            for admission in one:
                started = time.perf_counter()
                issue(admission, datetime.now(UTC))
                each.append(time.perf_counter() - started)
            found["one_by_one", counted] = median(each)
            started = time.perf_counter()
            issue_many(many, datetime.now(UTC))
            found["by_1000", counted] = (time.perf_counter() - started) / _BATCH[size]
            _let_triggers(True)
        for way in ratios:
            ratios[way].append(found[way, True] / found[way, False])
            taken[way].append(found[way, False])
    checking.repair()
    return [
        Figure(
            f"expiry_map.issue_{way}_of_uncounted",
            median(ratios[way]),
            "times the time",
            f"without counters ({1e6 * median(taken[way]):,.0f} us)",
            median(ratios[way]),
        )
        for way in ratios
    ]


def _let_triggers(count: bool) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal AND tgname LIKE 'count%'"
            " AND tgrelid IN ('inventory_certificate'::regclass, 'inventory_device'::regclass)"
        )
        for table, name in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} {'ENABLE' if count else 'DISABLE'} TRIGGER {name}")
