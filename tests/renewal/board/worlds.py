"""Campaigns that happen in memory: devices with a chance of their own to answer, seen at any moment."""

from collections import defaultdict
from dataclasses import dataclass
from random import Random

from renewal.board.findings import DAY, Findings, Standing, Waited
from renewal.board.waits import Phase, WaitKind, place
from renewal.models import TargetState
from tests.factories import NOW


@dataclass(frozen=True)
class Meter:
    """Days from the start: when it is asked, when it renews, if ever, and when its certificate ends."""

    asked: float
    renews: float | None
    ends: float

    def renewed_by(self, day: float) -> bool:
        return self.renews is not None and self.renews <= min(day, self.ends)

    def missed_by(self, day: float) -> bool:
        return self.ends <= day and not self.renewed_by(day)


def chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - of meters


def world(random: Random, *, meters: int, dead: float, mean: float, ends: tuple[float, float]) -> list[Meter]:
    """Return meters of which a share never answers and the others within `mean` days on the average."""
    return [
        Meter(0.0, None if random.random() < dead else random.expovariate(1 / mean), random.uniform(*ends))
        for _number in range(meters)
    ]


def seen(meters: list[Meter], day: float) -> Findings:
    """Return what is found on a day of the campaign; who renewed has used its certificate at once."""
    standings: dict[tuple[TargetState, Phase, int | None], list[Meter]] = defaultdict(list)
    waits: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for meter in meters:
        key: tuple[TargetState, Phase, int | None]
        if meter.renewed_by(day):
            key = (TargetState.CONFIRMED, Phase.THROUGH, None)
        elif meter.ends <= day:
            key = (TargetState.FAILED, Phase.ENDED, None)
        elif meter.asked > day:
            key = (TargetState.PLANNED, Phase.UNASKED, int(meter.ends))
        else:
            key = (TargetState.TRIGGERED, Phase.ASKED, int(meter.ends))
        standings[key].append(meter)
        if meter.asked <= day:
            came = meter.renewed_by(day)
            until = min(day, meter.ends) if meter.renews is None or not came else meter.renews
            waits[place(until - meter.asked)[0]].append((until - meter.asked, came))
    return Findings(
        NOW + day * DAY,
        NOW,
        DAY,
        [_standing(*key, listed, day) for key, listed in standings.items()],
        [_waited(number, each) for number, each in waits.items()],
    )


def _waited(number: int, waits: list[tuple[float, bool]]) -> Waited:
    came, days = sum(came for _days, came in waits), sum(days for days, _came in waits)
    return Waited(WaitKind.ANSWER, "daily", number, len(waits), came, days)


def _standing(state: TargetState, phase: Phase, stretch: int | None, meters: list[Meter], day: float) -> Standing:
    age = sum(day - meter.asked for meter in meters) / len(meters) if phase is Phase.ASKED else None
    return Standing(
        state,
        phase,
        "daily" if phase is not Phase.THROUGH else "",
        stretch,
        None if age is None else place(age)[0],
        len(meters),
        sum(meter.ends - day for meter in meters) / len(meters),
        age,
        None,
        sum(meter.asked > day for meter in meters),
        sum(meter.missed_by(day) for meter in meters),
        0,
        0,
    )
