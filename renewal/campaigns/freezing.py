"""Freezing what a campaign is for into targets, in waves where it is cut. Set-based, whatever their number."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import BooleanField, Case, Count, DateTimeField, F, IntegerField, Min, Value, When
from django.db.models.expressions import Combinable
from django.db.models.fields import CharField

from inventory.models.certificate import CertificateQuerySet
from renewal.campaigns.cutting import Piece, SiteLoad, cut
from renewal.campaigns.ladder import Ladder
from renewal.models import Campaign, Target, TargetState, Wave

MOST_WAVES = 200


class TooManyWaves(ValueError):
    """There would be more waves than anybody can follow; the text says what is right."""


@dataclass(frozen=True)
class Waves:
    """How to cut: `canary` devices ahead of all others, of all sites and kinds; then `size` in each wave, None: all."""

    canary: int = 0
    size: int | None = None

    def __bool__(self) -> bool:
        return bool(self.canary or self.size)


# Every so many devices one that goes ahead, in an order in which those alike stand together: each site, batch and
# connectivity class sends as many as it has. The others have a place in their site, by expiry.
_PLACED = """
    WITH chosen AS MATERIALIZED ({chosen}), lot AS (
        SELECT *, row_number() OVER (ORDER BY connectivity, batch_id, site_id, id) AS number FROM chosen
    ), parted AS (
        SELECT *, number * %s / greatest(%s, 1) > (number - 1) * %s / greatest(%s, 1) AS is_canary FROM lot
    ), placed AS (
        SELECT *, row_number() OVER (PARTITION BY site_id, is_canary ORDER BY not_after, id) AS place FROM parted
    )"""
_SITES = """
    SELECT site_id, count(*), min(not_after) FROM placed WHERE NOT is_canary GROUP BY 1"""
# What came in between counting and cutting is at the end of its site, or in the first wave after the canary.
_WAVE = """
    CASE WHEN is_canary THEN 1 ELSE coalesce((
        SELECT piece.wave FROM piece
        WHERE piece.site IS NOT DISTINCT FROM placed.site_id AND piece.first <= placed.place
        ORDER BY piece.first DESC LIMIT 1
    ), %s) END"""
_INSERT_CUT = """
    , piece AS MATERIALIZED (
        SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::int[]) AS piece (site, first, wave)
    ), waved AS (SELECT *, {wave} AS wave FROM placed)
    INSERT INTO renewal_target (
        campaign_id, device_id, certificate_id, ends_at, state, reason, attempts_made, rung, rung_attempts,
        channel, asked_over, unanswered, refusal, wave, next_step_at
    )
    SELECT %s, device_id, id, not_after, %s, '', 0, 0, 0,
           coalesce(first.channel, ''), '', false, '', wave, CASE WHEN wave = 1 THEN %s::timestamptz END
    FROM waved LEFT JOIN unnest(%s::varchar[], %s::varchar[]) AS first (connectivity, channel) USING (connectivity)
    ORDER BY wave, not_after"""


def freeze(campaign: Campaign, chosen: CertificateQuerySet, ladder: Ladder, waves: Waves, now: datetime) -> int:
    """Insert a target for each certificate of `chosen`, and the waves; return how many targets.

    One statement, three when it is cut, and two for the waves. Raises TooManyWaves.
    """
    inserted = _cut(campaign, chosen, ladder, waves, now) if waves else freeze_more(campaign, chosen, ladder, now)
    sizes = campaign.targets.order_by().values_list("wave").annotate(number=Count("pk"), first=Min("ends_at"))
    made = [Wave(campaign=campaign, number=wave, size=number, first_end=first) for wave, number, first in sizes]
    Wave.objects.bulk_create(made or [Wave(campaign=campaign, number=0, size=0, first_end=campaign.expires_from)])
    return inserted


def freeze_more(campaign: Campaign, chosen: CertificateQuerySet, ladder: Ladder, due: datetime) -> int:
    """Insert a target for each certificate of `chosen` that has none in the campaign; return how many. One statement.

    Their first step is due at `due`, by the campaign's clock.
    """
    first_channel = Case(
        *(When(device__connectivity=name, then=Value(channel)) for name, channel in _first_channels(ladder).items()),
        default=Value(""),
        output_field=CharField(),
    )
    columns: dict[str, Combinable] = {
        "campaign_id": Value(campaign.pk, IntegerField()),
        "device_id": F("device_id"),
        "certificate_id": F("id"),
        "ends_at": F("not_after"),
        "state": Value(TargetState.PLANNED.value, CharField()),
        "reason": Value("", CharField()),
        "attempts_made": Value(0, IntegerField()),
        "rung": Value(0, IntegerField()),
        "rung_attempts": Value(0, IntegerField()),
        "channel": first_channel,
        "asked_over": Value("", CharField()),
        "unanswered": Value(False, BooleanField()),
        "refusal": Value("", CharField()),
        "wave": Value(0, IntegerField()),
        "next_step_at": Value(due, DateTimeField()),
    }
    rows = chosen.order_by("not_after").values_list(*columns.values())
    select, parameters = rows.query.sql_with_params()
    table = connection.ops.quote_name(Target._meta.db_table)
    names = ", ".join(connection.ops.quote_name(name) for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({names}) {select} ON CONFLICT DO NOTHING", parameters)
        return int(cursor.rowcount)


def _first_channels(ladder: Ladder) -> dict[str, str]:
    """Return the channel that devices of each connectivity class are asked over first, where there is any."""
    return {name.value: rungs[0].channel.value for name, rungs in ladder.rungs.items() if rungs}


def _cut(campaign: Campaign, chosen: CertificateQuerySet, ladder: Ladder, waves: Waves, now: datetime) -> int:
    total = chosen.count()
    rows = chosen.order_by().values(
        "id", "device_id", "not_after", connectivity=F("device__connectivity"), batch_id=F("device__batch_id"),
        site_id=F("device__site_id"),
    )  # fmt: skip
    select, chosen_by = rows.query.sql_with_params()
    placed = _PLACED.format(chosen=select)
    parted = [*chosen_by, *[waves.canary, total] * 2]
    after_canary = 2 if waves.canary else 1
    firsts = _first_channels(ladder)
    with connection.cursor() as cursor:
        cursor.execute(placed + _SITES, parted)
        pieces = _pieces([SiteLoad(*row) for row in cursor.fetchall()], waves.size or total or 1, after_canary)
        values: list[Any] = [
            *parted, [piece.site for piece in pieces], [piece.first for piece in pieces],
            [piece.wave for piece in pieces], after_canary,
            campaign.pk, TargetState.PLANNED.value, now, list(firsts), list(firsts.values()),
        ]  # fmt: skip
        cursor.execute(placed + _INSERT_CUT.format(wave=_WAVE), values)
        return int(cursor.rowcount)


def _pieces(sites: Sequence[SiteLoad], size: int, first_wave: int) -> list[Piece]:
    least = sum(site.number for site in sites) // (MOST_WAVES - 1)
    if size < least:
        raise TooManyWaves(f"A campaign has at most {MOST_WAVES} waves: choose {least + 1:,} devices or more for each.")
    return cut(sites, size, first_wave)
