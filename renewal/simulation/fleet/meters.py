"""When virtual meters wake, and where they are. Pure; hours count from the start of the campaign, also before it."""

import math

from renewal.simulation.fleet.draws import Draws
from renewal.simulation.fleet.scenario import Scenario


class Meters:
    """The meters of one seed, by their numbers."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario = scenario
        self._sleep = Draws(seed, "sleep")
        self._cycles = Draws(seed, "cycles of sleep")
        self._numbers = Draws(seed, "outdated numbers")
        self._session = scenario.restart_days * 24

    def sleeps_deep(self, meter: int) -> bool:
        return self._sleep.uniform(meter) < self._scenario.deep_sleepers

    def sleep_hours(self, meter: int) -> float:
        """Return the longest that the meter sleeps."""
        deep = self.sleeps_deep(meter)
        return self._scenario.deep_sleep_hours if deep else self._scenario.daily_window_hours

    def site(self, meter: int) -> int:
        return meter // int(self._scenario.meters_a_site)

    def batch(self, meter: int) -> int:
        return meter // int(self._scenario.meters_a_batch)

    def number_is_outdated(self, meter: int) -> bool:
        return self._numbers.uniform(meter) < self._scenario.outdated_numbers

    def next_wake(self, meter: int, hour: float) -> float:
        """Return the first wake at or after `hour`.

        A meter wakes when it restarts, and every so many hours from then on, until it restarts again.
        """
        sleep = self.sleep_hours(meter)
        # No two meters restart by one calendar.
        offset = self._cycles.uniform(meter) * self._session
        restart = math.floor((hour - offset) / self._session)
        begun = offset + self._restarts(meter, restart, sleep)
        if begun > hour:
            following = begun
            begun = offset + self._restarts(meter, restart - 1, sleep)
        else:
            following = offset + self._restarts(meter, restart + 1, sleep)
        wake = begun + math.ceil((hour - begun) / sleep) * sleep
        return min(max(wake, hour), following)

    def _restarts(self, meter: int, number: int, sleep: float) -> float:
        return number * self._session + self._cycles.uniform(meter, number) * sleep
