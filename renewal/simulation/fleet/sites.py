"""Outages of base stations, which take all meters of a site with them. Pure; hours from the start of the campaign."""

from renewal.simulation.fleet.draws import Draws
from renewal.simulation.fleet.scenario import Scenario

_HOURS_A_YEAR = 8766.0


class Sites:
    def __init__(self, scenario: Scenario, seed: int, until: float) -> None:
        self._scenario = scenario
        self._draws = Draws(seed, "base stations")
        self._until = until
        self._known: dict[int, tuple[tuple[float, float], ...]] = {}

    def outages(self, site: int) -> tuple[tuple[float, float], ...]:
        """Return begin and end of each outage up to the end of the simulation."""
        known = self._known.get(site)
        if known is None:
            known = self._known[site] = tuple(self._drawn(site))
        return known

    def _drawn(self, site: int) -> list[tuple[float, float]]:
        if not self._scenario.site_outages_a_year:
            return []
        apart = _HOURS_A_YEAR / self._scenario.site_outages_a_year
        outages: list[tuple[float, float]] = []
        # From long enough before that one may last still.
        begin, number = -10 * self._scenario.site_outage_mean_hours, 0
        while (begin := begin + self._draws.exponential(apart, site, number, 0)) < self._until:
            outages.append(
                (begin, begin + self._draws.exponential(self._scenario.site_outage_mean_hours, site, number, 1))
            )
            number += 1
        return outages
