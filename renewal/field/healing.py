"""Whether a silent device may come back by itself, from what devices like it did before.

A device is like another when both are of one fleet and connectivity class; at one site, where enough is known of that.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import (
    DateTimeField,
    DurationField,
    ExpressionWrapper,
    F,
    FloatField,
    OuterRef,
    Q,
    Subquery,
    Value,
)
from django.db.models.functions import Cast

from renewal.models import Healing, WorkOrder
from renewal.models.work_order import BY_HAND

# Of fewer devices a share says nothing.
LEAST = 30
# Where fewer than one in twenty came back, nobody waits for it.
RARE = 0.05
_WEEK = timedelta(weeks=1)
# How each silence since a first trigger ended: with an answer, with a visit, or with the certificate. Those that still
# last say nothing yet. A row stands for all silences of at least so many weeks.
_COUNT = """
INSERT INTO renewal_healing (fleet_id, site_id, connectivity, weeks, devices, healed)
SELECT fleet_id, site_id, connectivity, weeks,
       sum(devices) OVER longest_first, sum(healed) OVER longest_first
FROM (
    SELECT fleet_id, site_id, connectivity, weeks, count(*) AS devices, count(*) FILTER (WHERE healed) AS healed
    FROM (
        SELECT device.fleet_id, device.site_id, device.connectivity,
               floor(extract(epoch FROM ended.at - target.triggered_at) / 604800)::int AS weeks, ended.healed
        FROM renewal_target target
        JOIN inventory_device device ON device.id = target.device_id
        JOIN inventory_certificate old ON old.id = target.certificate_id
        LEFT JOIN renewal_workorder o ON o.target_id = target.id AND o.outcome = ANY(%(by_hand)s)
        CROSS JOIN LATERAL (
            SELECT least(target.issued_at, o.closed_at, old.not_after) AS at,
                   target.issued_at IS NOT NULL AND target.issued_at < old.not_after
                   -- Renewed on site is renewed before the order is closed.
                   AND (o.id IS NULL OR target.issued_at < o.opened_at) AS healed
        ) ended
        WHERE target.triggered_at IS NOT NULL AND ended.at <= %(now)s
          AND ended.at - target.triggered_at >= interval '1 week'
    ) silences
    GROUP BY GROUPING SETS ((fleet_id, site_id, connectivity, weeks), (fleet_id, connectivity, weeks))
    -- A row of the whole fleet has no site; those of devices without a site would look the same.
    HAVING GROUPING(site_id) = 1 OR site_id IS NOT NULL
) counted
WINDOW longest_first AS (PARTITION BY fleet_id, site_id, connectivity ORDER BY weeks DESC)
"""


@dataclass(frozen=True)
class Chance:
    """Of `devices` that had been silent as long, `healed` answered by themselves; `at_site`: of those at one site."""

    devices: int
    healed: int
    at_site: bool

    @property
    def percent(self) -> int:
        return round(100 * self.healed / self.devices)


def count_anew(now: datetime) -> int:
    """Count how silences ended, and replace what was counted before. Two statements; reads all triggered targets."""
    by_hand = [outcome.value for outcome in BY_HAND]
    with transaction.atomic(), connection.cursor() as cursor:
        # Of two counts at once the second waits: each must replace all of the other's rows.
        cursor.execute("LOCK TABLE renewal_healing IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute("DELETE FROM renewal_healing")
        cursor.execute(_COUNT, {"by_hand": by_hand, "now": now})
        return int(cursor.rowcount)


def share_of_target(now: datetime) -> Subquery:
    """Return, for a query of targets, the share that `chances` tells as numbers; NULL where too little is known."""
    silence = ExpressionWrapper(Value(now, DateTimeField()) - OuterRef("triggered_at"), DurationField())
    longest = ExpressionWrapper((F("weeks") + 1) * Value(_WEEK, DurationField()), DurationField())
    as_long = Healing.objects.annotate(longest=longest).filter(
        Q(site_id=OuterRef("device__site_id")) | Q(site_id=None),
        fleet_id=OuterRef("device__fleet_id"),
        connectivity=OuterRef("device__connectivity"),
        devices__gte=LEAST,
        longest__gt=silence,
    )
    nearest_first = as_long.order_by(F("site_id").asc(nulls_last=True), "weeks")
    return Subquery(nearest_first.values(share=Cast("healed", FloatField()) / F("devices"))[:1])


def chances(orders: Iterable[WorkOrder], now: datetime) -> dict[int, Chance]:
    """Return the chance of each open order, by its id; none where too little is known. One query for all.

    The orders must come with device and target.
    """
    silences = {
        order.pk: ((order.device.fleet_id, order.device.connectivity), order.device.site_id, _weeks(order, now))
        for order in orders
        if order.closed_at is None and order.target.triggered_at is not None
    }
    counted: dict[tuple[int, str, int | None], list[Healing]] = {}
    fleets = {kind[0] for kind, _site, _weeks in silences.values()}
    sites = {site for _kind, site, _weeks in silences.values() if site is not None}
    of_sites = Healing.objects.filter(fleet_id__in=fleets, site_id__in=sites)
    of_fleets = Healing.objects.filter(fleet_id__in=fleets, site_id=None)
    for row in (of_sites | of_fleets).order_by("weeks") if silences else ():
        counted.setdefault((row.fleet_id, row.connectivity, row.site_id), []).append(row)
    found = {}
    for pk, (kind, site, weeks) in silences.items():
        for where in dict.fromkeys((site, None)):
            # The row of the shortest silence that is as long; silences in between there are none.
            as_long = next((each for each in counted.get((*kind, where), ()) if each.weeks >= weeks), None)
            if as_long is not None and as_long.devices >= LEAST:
                found[pk] = Chance(as_long.devices, as_long.healed, at_site=where is not None)
                break
    return found


def _weeks(order: WorkOrder, now: datetime) -> int:
    assert order.target.triggered_at is not None
    return max((now - order.target.triggered_at) // _WEEK, 1)
