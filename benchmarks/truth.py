"""Whether the numbers on screen are true: tiles, cells and filters beside SQL that shares nothing with the portal's."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import parse_qsl

from django.db import connection
from django.utils import timezone

from benchmarks import fleet, portal
from benchmarks.figure import Figure
from benchmarks.measuring import Size
from benchmarks.offered import CERTIFICATES, DEVICES, Ask, choices
from certportal.dashboard import expiry_map, tiles
from certportal.dashboard.geometry.heatmap import Cell
from certportal.dashboard.scope import Scope
from inventory.expiry import start_of
from inventory.models import Axis

_NUMBER = re.compile(r'class="paginator keyset".*?<span class="number">([\d,]+) ', re.DOTALL)
# Of a filter with hundreds of choices some suffice; the last one is "none".
_MOST_CHOICES = 4

_IN_USE = "c.state IN ('issued', 'confirmed')"
_ACCEPTED = f"{_IN_USE} AND c.not_before <= now() AND c.not_after >= now()"
_STANDINGS = {
    "standing": _IN_USE,
    "valid": _ACCEPTED,
    "expiring": f"{_ACCEPTED} AND c.not_after < now() + interval '90 days'",
    "unconfirmed": f"{_ACCEPTED} AND c.state = 'issued' AND c.predecessor_id IS NOT NULL",
    "expired": f"{_IN_USE} AND c.not_after < now()",
    "revoked": "c.state = 'revoked'",
    "superseded": "c.state = 'superseded'",
}
_RENEWED = """EXISTS (SELECT FROM inventory_certificate newer WHERE newer.device_id = c.device_id AND newer.id > c.id
    AND newer.state IN ('issued', 'confirmed'))"""
_PLANNED = """EXISTS (SELECT FROM renewal_target t JOIN renewal_campaign p ON p.id = t.campaign_id
    WHERE t.certificate_id = c.id AND p.state <> 'finished'
    AND t.state IN ('planned', 'triggered', 'issued', 'escalated'))"""
_LEFT = f"c.purpose = 'device' AND {_IN_USE} AND NOT {_RENEWED}"
_COVERAGES = {
    "renewed": f"c.purpose = 'device' AND (c.state = 'superseded' OR ({_IN_USE} AND {_RENEWED}))",
    "expired": f"{_LEFT} AND c.not_after < now()",
    "in_campaign": f"{_LEFT} AND c.not_after >= now() AND {_PLANNED}",
    "unplanned": f"{_LEFT} AND c.not_after >= now() AND NOT {_PLANNED}",
}
_SEEN = {
    "never": "d.last_seen_at IS NULL",
    "day": "d.last_seen_at >= now() - interval '1 day'",
    "silent": "d.last_seen_at < now() - interval '7 days'",
}
_OF_DEVICE = "EXISTS (SELECT FROM inventory_certificate c WHERE c.device_id = d.id AND {})"
# The lists by their table, as conditions and as filters name its rows.
_TABLES = {
    DEVICES: "inventory_device d",
    CERTIFICATES: "inventory_certificate c LEFT JOIN inventory_device d ON d.id = c.device_id",
}
_TILES = {
    "devices": (DEVICES, "true"),
    **{
        label: (CERTIFICATES, f"c.purpose = 'device' AND {_STANDINGS[standing]}")
        for label, standing in (
            ("valid", "valid"),
            ("expiring 90 d", "expiring"),
            ("expired", "expired"),
            ("revoked", "revoked"),
            ("unconfirmed", "unconfirmed"),
        )
    },
    "never seen": (DEVICES, _SEEN["never"]),
}
_GROUPS = {
    Axis.SITE: "d.site_id",
    Axis.BATCH: "d.batch_id",
    Axis.FLEET: "d.fleet_id",
    Axis.PROFILE: "c.profile_id",
    Axis.AUTHORITY: "c.authority_id",
}


def run(size: Size) -> list[Figure]:
    with fleet.running(size):
        started = time.perf_counter()
        done = check(portal.browser())
        took = Figure("truth.seconds", time.perf_counter() - started, "s")
        return [Figure("truth.counts_equal_to_sql", done, "counts"), took]


def check(ask: Ask) -> int:
    """Compare every tile, cells of each axis and every filter; return how many. Raises AssertionError on a difference.

    Counts exactly, so at millions of rows it takes minutes.
    """
    done = 0
    for what, count in (*_tiles(ask), *_cells(ask), *_filters(ask)):
        # The clock moves between two counts: what ended in between does not end again.
        numbers = next((found for _ in range(2) if len(set(found := count())) == 1), None) or count()
        assert len(set(numbers)) == 1, f"{what}: {numbers}, the last of them by SQL"
        done += 1
    return done


Comparison = tuple[str, Callable[[], list[int]]]
"""What is counted, and how: on screen first, by SQL at last."""


def _tiles(ask: Ask) -> Iterator[Comparison]:
    for label, (table, condition) in _TILES.items():

        def count(label: str = label, table: str = table, condition: str = condition) -> list[int]:
            [tile] = [tile for tile in tiles.read(Scope(), timezone.now()) if tile.label == label]
            return [tile.count, _listed(ask, tile.url), _rows(table, condition)]

        yield f"tile {label}", count


def _cells(ask: Ask) -> Iterator[Comparison]:
    """Yield the largest cell of each axis, the smallest and one in the middle."""
    for axis, column in _GROUPS.items():
        drawn = expiry_map.read(Scope(axis=axis), timezone.now())
        cells = sorted(drawn.map.cells, key=lambda cell: cell.count)
        for cell in dict.fromkeys([cells[0], cells[len(cells) // 2], cells[-1]]) if cells else ():

            def count(cell: Cell = cell, url: str = drawn.urls[cell], column: str = column) -> list[int]:
                ends = "c.not_after >= %(start)s AND c.not_after < %(end)s"
                condition = f"{column} IS NOT DISTINCT FROM %(group)s AND c.purpose = 'device' AND {_IN_USE} AND {ends}"
                values = {"group": cell.row, "start": start_of(cell.column.start), "end": start_of(cell.column.end)}
                return [cell.count, _listed(ask, url), _rows(CERTIFICATES, condition, values)]

            yield f"cell of {axis} {cell.row} from {cell.column.start} on", count


def _filters(ask: Ask) -> Iterator[Comparison]:
    for address in _TABLES:
        for offered in choices(ask, address).values():
            for query in dict.fromkeys([*offered[: _MOST_CHOICES - 1], *offered[-1:]]):

                def count(address: str = address, query: str = query) -> list[int]:
                    conditions = [_condition(address, *parameter) for parameter in parse_qsl(query[1:])]
                    return [_listed(ask, address + query), _rows(address, " AND ".join(conditions))]

                yield address + query, count


def _condition(address: str, name: str, value: str) -> str:
    """Return what a parameter of an address asks for."""
    of_devices = address == DEVICES
    column, _, bound = name.partition("__")
    if column == "not_after":
        # Half open, and of what the device stands on.
        ends = f"c.not_after {'>=' if bound == 'gte' else '<'} '{value}'"
        return _OF_DEVICE.format(f"{_IN_USE} AND {ends}") if of_devices else ends
    if column in ("fleet", "site", "batch"):
        return f"d.{column}_id IS NULL" if value == "none" else f"d.{column}_id = {int(value)}"
    if column in ("authority", "profile"):
        return f"c.{column}_id = {int(value)}"
    if column in ("key_type", "purpose", "connectivity", "status"):
        return f"{column} = '{value}'"
    if column == "seen":
        return _SEEN[value]
    if column == "coverage":
        return _COVERAGES[value]
    assert column == "state", f"No SQL is written for {name}."
    if not of_devices:
        return _STANDINGS[value]
    return f"NOT {_OF_DEVICE.format('true')}" if value == "none" else _OF_DEVICE.format(_STANDINGS[value])


def _listed(ask: Ask, address: str) -> int:
    """Return how many rows a list says it holds when asked for the exact number."""
    found = _NUMBER.search(ask(f"{address}{'&' if '?' in address else '?'}count=exact").decode())
    assert found, f"{address} says no number, or one that is not exact."
    return int(found[1].replace(",", ""))


def _rows(table: str, condition: str, values: Mapping[str, object] | None = None) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {_TABLES[table]} WHERE {condition}", values)  # noqa: S608
        [(number,)] = cursor.fetchall()
        return int(number)
