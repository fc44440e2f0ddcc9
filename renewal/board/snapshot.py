"""All that the board of a campaign shows, read together, and kept for large campaigns: they are read by a worker.

Of a campaign with few targets the board is read anew for each look. To read 2.2 million targets and their messages
takes seconds, so a worker does it when somebody looks and the last reading is old: at most 2 % of the time.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.core.cache import cache

from inventory.job_claims import Claim
from renewal.board import course, failures, step_yield
from renewal.board.course import Score
from renewal.board.failures import GivenUp, LeftToPeople, Refused
from renewal.board.findings import Findings, find
from renewal.board.forecast import Forecast
from renewal.board.step_yield import Yields
from renewal.models import Campaign, CampaignState, TargetState

# With more targets than this a page does not read them all by itself.
MOST_READ_AT_ONCE = 100_000
_SHARE_OF_TIME = 0.02
_OLD_AFTER = timedelta(minutes=1)
_FAILURES_KEPT_SECONDS = 3600
# Another number, when the classes that are kept change.
_LAYOUT = 2
_ENDED = (CampaignState.FINISHED, CampaignState.STOPPED)


@dataclass(frozen=True)
class Board:
    """As of `findings.at`. `forecast`: None before the start and after the end."""

    findings: Findings
    forecast: Forecast | None
    past: list[tuple[datetime, dict[TargetState, int]]]
    scores: list[Score]
    yields: Yields
    refused: list[Refused]
    given_up: list[GivenUp]
    left_to_people: LeftToPeople


class _Kept(NamedTuple):
    board: Board
    old_at: datetime


def read(campaign: Campaign, now: datetime) -> Board:
    """Read the board. Nine queries, whatever the number of targets."""
    findings = find(campaign, now)
    goes_on = campaign.started_at is not None and campaign.state not in _ENDED
    return Board(
        findings,
        course.course(campaign, findings) if goes_on else None,
        course.past(campaign),
        course.scores(campaign),
        step_yield.yields(campaign),
        failures.refused(campaign),
        failures.given_up(campaign),
        failures.left_to_people(campaign, findings.total),
    )


def shown(campaign: Campaign, targets: int, now: datetime) -> Board | None:
    """Return the board of a campaign with so many targets; None while a worker reads a large one for the first time."""
    if targets <= MOST_READ_AT_ONCE:
        return read(campaign, now)
    kept: _Kept | None = cache.get(_key(campaign.pk))
    if kept is None or now >= kept.old_at:
        _claim(campaign.pk).enqueue("renewal.jobs.read_board", campaign.pk, failure_ttl=_FAILURES_KEPT_SECONDS)
    return kept.board if kept else None


def begin(pk: int) -> None:
    """Release the claim, so that the next look makes a new job. The job calls it before it reads."""
    _claim(pk).begin()


def keep(campaign: Campaign, board: Board, took: timedelta) -> None:
    """Keep what was read for those who look; how long that took decides when it is read again."""
    old_at = board.findings.at + max(_OLD_AFTER, took / _SHARE_OF_TIME)
    cache.set(_key(campaign.pk), _Kept(board, old_at), timeout=None)


def _key(pk: int) -> str:
    return f"certportal:campaign-board:{_LAYOUT}:{pk}"


def _claim(pk: int) -> Claim:
    return Claim("default", f"read board of campaign {pk}")
