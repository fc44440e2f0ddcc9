"""What keeps meters from the network, and for how long. Pure; hours count from the start of the campaign.

Persistent faults are in balance: as many begin as ordinary maintenance repairs. They last until a repair; transitory
ones end by themselves.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from renewal.simulation.fleet.draws import Draws
from renewal.simulation.fleet.meters import Meters
from renewal.simulation.fleet.scenario import Scenario

_WEEK = 168.0
_HOURS_A_YEAR = 8766.0


class Kind(StrEnum):
    NO_COVERAGE = "no coverage"
    HARDWARE = "hardware"
    # The modem is on the network, and has no data connection: SMS arrive.
    SESSION = "data session lost"
    TRANSITORY = "transitory"


PERSISTENT = (Kind.NO_COVERAGE, Kind.HARDWARE, Kind.SESSION)


@dataclass(frozen=True, slots=True)
class Fault:
    kind: Kind
    begins: float
    ends: float

    def lasts_at(self, hour: float) -> bool:
        return self.begins <= hour < self.ends


@dataclass(frozen=True)
class _Balance:
    """The share of meters with a persistent fault at any moment, and how many hours one lasts on average."""

    share: float
    mean_hours: float

    def lasting(self, hours: float) -> float:
        """Return the share of meters with one that lasts through `hours`."""
        return self.share * math.exp(-hours / self.mean_hours)


def _mean_hours(repaired_a_week: float) -> float:
    return math.inf if not repaired_a_week else -_WEEK / math.log(1 - repaired_a_week)


class Faults:
    """The faults of the meters of one seed."""

    def __init__(self, scenario: Scenario, seed: int, meters: Meters, until: float) -> None:
        self._scenario = scenario
        self._meters = meters
        self._until = until
        self._draws = {kind: Draws(seed, f"fault: {kind}") for kind in Kind}
        self._batches = Draws(seed, "bad batches")
        self.balances = _balances(scenario)

    def of(self, meter: int) -> list[Fault]:
        """Return the faults of a meter up to the end of the simulation, without those of its site."""
        found = [fault for kind in PERSISTENT for fault in self._persistent(kind, meter)]
        return found + self._transitory(meter)

    def persistent(self, meter: int) -> list[Fault]:
        return [fault for kind in PERSISTENT for fault in self._persistent(kind, meter)]

    def _persistent(self, kind: Kind, meter: int) -> list[Fault]:
        balance, draws = self.balances[kind], self._draws[kind]
        factor = self._batches.exponential(1.0, self._meters.batch(meter)) if kind is Kind.HARDWARE else 1.0
        share = min(balance.share * factor, 0.95)
        luck = draws.uniform(meter, 0)
        if luck < share:
            return [Fault(kind, -math.inf, self._lasts(kind, meter))]
        if math.isinf(balance.mean_hours):
            return []
        # Of those without one, as many a moment as are repaired among those with one. The same luck, spread out.
        apart = balance.mean_hours * (1 - share) / share if share else math.inf
        rest = (luck - share) / (1 - share)
        begins = -apart * math.log(1 - rest) if rest and not math.isinf(apart) else math.inf
        return [] if begins >= self._until else [Fault(kind, begins, begins + self._lasts(kind, meter))]

    def _lasts(self, kind: Kind, meter: int) -> float:
        mean = self.balances[kind].mean_hours
        return math.inf if math.isinf(mean) else self._draws[kind].exponential(mean, meter, 1)

    def _transitory(self, meter: int) -> list[Fault]:
        share, mean = self._scenario.transitory, self._scenario.transitory_mean_days * 24
        if not share:
            return []
        draws, faults = self._draws[Kind.TRANSITORY], []
        end = 0.0
        if draws.uniform(meter, 0) < share:
            end = draws.exponential(mean, meter, 1)
            faults.append(Fault(Kind.TRANSITORY, -math.inf, end))
        number, apart = 1, mean * (1 - share) / share
        while (begins := end + draws.exponential(apart, meter, 2 * number)) < self._until:
            end = begins + draws.exponential(mean, meter, 2 * number + 1)
            faults.append(Fault(Kind.TRANSITORY, begins, end))
            number += 1
        return faults


def _balances(scenario: Scenario) -> dict[Kind, _Balance]:
    """Return the balance of each persistent kind: lost sessions are what the others leave of the window's share."""
    window = scenario.window_days * 24
    coverage = _Balance(scenario.no_coverage, _mean_hours(scenario.coverage_repaired_a_week))
    mean = _mean_hours(scenario.hardware_repaired_a_week)
    in_a_year = scenario.hardware_failures_a_year
    hardware = _Balance(min(in_a_year * (_HOURS_A_YEAR if math.isinf(mean) else mean) / _HOURS_A_YEAR, 0.5), mean)
    left = scenario.unreachable_in_window - coverage.lasting(window) - hardware.lasting(window)
    mean = _mean_hours(scenario.session_repaired_a_week)
    sessions = _Balance(min(max(left, 0.0) * math.exp(window / mean), 0.95), mean)
    return {Kind.NO_COVERAGE: coverage, Kind.HARDWARE: hardware, Kind.SESSION: sessions}
