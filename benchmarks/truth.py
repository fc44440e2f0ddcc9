"""Whether the numbers on screen are true: tiles, cells and filters beside SQL that shares nothing with the portal's."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from urllib.parse import parse_qsl

from django.db import connection
from django.utils import timezone

from benchmarks import fleet, portal
from benchmarks.figure import Figure
from benchmarks.filter_choices import CERTIFICATES, DEVICES, Ask, choices
from benchmarks.measuring import Size
from certportal.dashboard import expiry_map, tiles
from certportal.dashboard.geometry.heatmap import Cell
from certportal.dashboard.scope import Scope
from inventory.expiry.cliffs import start_of
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
_RENEWED = """EXISTS (SELECT FROM inventory_certificate newer WHERE newer.device_id = c.device_id
    AND (newer.issued_at, newer.id) > (c.issued_at, c.id) AND newer.state IN ('issued', 'confirmed'))"""
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
_PRESENCE = "EXISTS (SELECT FROM inventory_devicepresence p WHERE p.device_id = d.id AND {})"
_SEEN = {
    "never": _PRESENCE.format("p.last_seen_at IS NULL"),
    "day": _PRESENCE.format("p.last_seen_at >= now() - interval '1 day'"),
    "silent": _PRESENCE.format("p.last_seen_at < now() - interval '7 days'"),
}
# Of one certificate, half open.
_BOUNDS = {"not_after__gte": ">=", "not_after__lt": "<"}
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
    with fleet.running(fleet.DEVICES[size]):
        started = time.perf_counter()
        done = check(portal.browser())
        took = Figure("truth.seconds", time.perf_counter() - started, "s")
        return [Figure("truth.counts_equal_to_sql", done, "counts"), took]


def check(ask: Ask) -> int:
    """Compare every tile, cells of each axis and every filter; return how many. Raises AssertionError on a difference.

    Counts exactly, so at millions of rows it takes minutes.
    """
    done = 0
    for what, shown, by_sql in (*_tiles(ask), *_cells(ask), *_filters(ask)):
        # The clock moves: what ends while the screen is read stands on either side of it.
        before, numbers, after = by_sql(), shown(), by_sql()
        between = range(min(before, after), max(before, after) + 1)
        assert all(number in between for number in numbers), f"{what}: {numbers}, by SQL {before} and {after}"
        done += 1
    return done


Comparison = tuple[str, Callable[[], list[int]], Callable[[], int]]
"""What is counted, what the screen says in one place and another, and what SQL says."""


def _tiles(ask: Ask) -> Iterator[Comparison]:
    for label, (table, condition) in _TILES.items():

        def shown(label: str = label) -> list[int]:
            [tile] = [tile for tile in tiles.read(Scope(), timezone.now()) if tile.label == label]
            return [tile.count, _listed(ask, tile.url)]

        yield f"tile {label}", shown, partial(_rows, table, condition)


def _cells(ask: Ask) -> Iterator[Comparison]:
    """Yield the largest cell of each axis, the smallest and one in the middle."""
    for axis, column in _GROUPS.items():
        drawn = expiry_map.read(Scope(axis=axis), timezone.now())
        cells = sorted(drawn.map.cells, key=lambda cell: cell.count)
        for cell in dict.fromkeys([cells[0], cells[len(cells) // 2], cells[-1]]) if cells else ():
            ends = "c.not_after >= %(start)s AND c.not_after < %(end)s"
            condition = f"{column} IS NOT DISTINCT FROM %(group)s AND c.purpose = 'device' AND {_IN_USE} AND {ends}"
            values = {"group": cell.row, "start": start_of(cell.column.start), "end": start_of(cell.column.end)}

            def shown(cell: Cell = cell, url: str = drawn.urls[cell]) -> list[int]:
                return [cell.count, _listed(ask, portal.led_to(url))]

            yield (
                f"cell of {axis} {cell.row} from {cell.column.start} on",
                shown,
                partial(_rows, CERTIFICATES, condition, values),
            )


def _filters(ask: Ask) -> Iterator[Comparison]:
    for address in _TABLES:
        for offered in choices(ask, address).values():
            for query in dict.fromkeys([*offered[: _MOST_CHOICES - 1], *offered[-1:]]):
                condition = _conditions(address, parse_qsl(query[1:]))

                def shown(listed: str = address + query) -> list[int]:
                    return [_listed(ask, listed)]

                yield address + query, shown, partial(_rows, address, condition)


def _conditions(address: str, parameters: Sequence[tuple[str, str]]) -> str:
    """Return what the parameters of an address ask for."""
    found = [_condition(address, *each) for each in parameters if each[0] not in _BOUNDS]
    if span := " AND ".join(f"c.not_after {_BOUNDS[name]} '{value}'" for name, value in parameters if name in _BOUNDS):
        found.append(_OF_DEVICE.format(f"{_IN_USE} AND {span}") if address == DEVICES else span)
    return " AND ".join(found)


def _condition(address: str, name: str, value: str) -> str:
    of_devices = address == DEVICES
    column, _, how = name.partition("__")
    if how == "isnull":
        return f"c.{column}_id IS NULL"
    if column in ("fleet", "site", "batch"):
        return f"d.id IS NOT NULL AND d.{column}_id IS NULL" if value == "none" else f"d.{column}_id = {int(value)}"
    if column in ("authority", "profile"):
        return f"c.{column}_id = {int(value)}"
    if column in ("key_type", "purpose", "connectivity", "status"):
        return f"{column} = '{value}'"
    if column == "seen":
        return _SEEN[value]
    if column == "coverage":
        return _COVERAGES[value]
    assert column == "state", f"No SQL is written for {column}."
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
