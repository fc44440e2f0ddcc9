"""Whether and when a message reaches a meter, and what a visit finds: the world that the product does not see.

Faults end by what the campaign does, too: an SMS restarts a data session, a visit repairs. What was mended is kept
here; all else follows from scenario and seed. Hours count from the start of the campaign.
"""

import math

from renewal.simulation.fleet.draws import Draws
from renewal.simulation.fleet.faults import Fault, Faults, Kind
from renewal.simulation.fleet.meters import Meters
from renewal.simulation.fleet.scenario import Scenario
from renewal.simulation.fleet.sites import Sites


class World:
    """`until`: the hour up to which faults are known."""

    def __init__(self, scenario: Scenario, seed: int, until: float) -> None:
        self.scenario = scenario
        self.meters = Meters(scenario, seed)
        self.faults = Faults(scenario, seed, self.meters, until)
        self.sites = Sites(scenario, seed, until)
        self._until = until
        self._lost = Draws(seed, "SMS lost")
        self._restarts = Draws(seed, "sessions that restart")
        self._wakes = Draws(seed, "wakes that fail")
        self._late = Draws(seed, "certificates used late")
        self._visits = Draws(seed, "visits")
        self._pushes = Draws(seed, "local pushes")
        # From when on a meter has none of the faults that began before.
        self._mended: dict[int, float] = {}

    def next_contact(self, meter: int, hour: float, latest: float) -> float | None:
        """Return the first wake from `hour` to `latest` at which the meter has its data connection."""
        return self._first_wake(meter, hour, latest, self._faults_of(meter))

    def sms_arrives(self, meter: int, number: int, hour: float, latest: float) -> float | None:
        """Return when the SMS arrives that is the meter's `number`th: at the first wake on the network, or never.

        The operator keeps it until `latest` at most, and as long as it keeps any.
        """
        if self._lost.uniform(meter, number) < self.scenario.sms_lost or self.meters.number_is_outdated(meter):
            return None
        in_the_way = [fault for fault in self._faults_of(meter) if fault.kind is not Kind.SESSION]
        kept = min(latest, hour + self.scenario.sms_validity_hours)
        return self._first_wake(meter, hour, kept, in_the_way)

    def hears_sms(self, meter: int, hour: float) -> bool:
        """Return whether a meter that an SMS has reached can go on from there; a lost session may come back by it."""
        if not any(fault.kind is Kind.SESSION and fault.lasts_at(hour) for fault in self._faults_of(meter)):
            return True
        if self._restarts.uniform(meter) >= self.scenario.sms_restarts_session:
            return False
        self._mended[meter] = hour
        return True

    def wake_is_long_enough(self, meter: int, tries: int) -> bool:
        return self._wakes.uniform(meter, tries) >= self.scenario.wake_fails

    def uses_at_once(self, meter: int) -> bool:
        return self._late.uniform(meter) >= self.scenario.used_at_next_wake

    def visit_at(self, meter: int, go_from: float) -> float:
        least, most = self.scenario.visit_after_least_days, self.scenario.visit_after_most_days
        return go_from + 24 * (least + (most - least) * self._visits.uniform(meter))

    def found_at_visit(self, meter: int, hour: float) -> Kind | None:
        """Return the persistent fault that keeps the meter away, None for none."""
        lasting = {fault.kind for fault in self._faults_of(meter) if fault.lasts_at(hour)}
        return next((kind for kind in (Kind.HARDWARE, Kind.NO_COVERAGE, Kind.SESSION) if kind in lasting), None)

    def push_helps(self, meter: int) -> bool:
        return self._pushes.uniform(meter) < self.scenario.push_repairs

    def mend(self, meter: int, hour: float) -> None:
        """Let all that keeps the meter away be over."""
        self._mended[meter] = hour

    def was_reachable(self, meter: int, until: float) -> bool:
        """Return whether from the start to `until` the meter was awake on the network once, by data or for an SMS."""
        faults = [fault for fault in self._faults_of(meter) if fault.kind is not Kind.SESSION]
        return self._first_wake(meter, 0.0, until, faults) is not None

    def _faults_of(self, meter: int) -> list[Fault]:
        faults = self.faults.of(meter)
        mended = self._mended.get(meter)
        return faults if mended is None else [fault for fault in faults if fault.begins > mended]

    def _first_wake(self, meter: int, hour: float, latest: float, faults: list[Fault]) -> float | None:
        outages = self.sites.outages(self.meters.site(meter))
        wake = self.meters.next_wake(meter, hour)
        while wake <= latest:
            ends = max(
                max((fault.ends for fault in faults if fault.lasts_at(wake)), default=-math.inf),
                max((end for begin, end in outages if begin <= wake < end), default=-math.inf),
            )
            if ends == -math.inf:
                return wake
            if ends > latest:
                return None
            wake = self.meters.next_wake(meter, ends)
        return None
