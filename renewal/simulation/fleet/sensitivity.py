"""What the result hangs on: the scenario with one thing changed at a time. Pure.

The luck of every meter stays as it was (`draws`), so a difference between two runs is the change and no chance.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from renewal.simulation.fleet.scenario import Scenario, Sourced, scaled, with_number

_LEADS = (30, 60, 120, 180)
_VALIDITIES = (18, 72)


@dataclass(frozen=True)
class Variant:
    name: str
    scenario: Scenario


def variants(sourced: Sourced) -> list[Variant]:
    """Return the variants: what a planner may choose, then each assumption halved and doubled."""
    return [*_choices(sourced.scenario), *_assumptions(sourced)]


def _choices(base: Scenario) -> Iterator[Variant]:
    yield Variant("SMS off", replace(base, sms_in_use=0.0))
    if base.wakes_reported:
        yield Variant("no wake predictor", replace(base, wakes_reported=0.0))
    for days in _LEADS:
        if days != base.lead_days:
            yield Variant(f"{days}-day lead", replace(base, lead_days=float(days)))
    for hours in _VALIDITIES:
        if hours != base.sms_validity_hours:
            yield Variant(f"SMS validity {hours} h", replace(base, sms_validity_hours=float(hours)))


def _assumptions(sourced: Sourced) -> Iterator[Variant]:
    base = sourced.scenario
    for name in sourced.assumptions:
        for word, factor in (("halved", 0.5), ("doubled", 2.0)):
            value = scaled(base, name, factor)
            if value != getattr(base, name):
                # A span stays one: whose least is more than its most is moved along.
                scenario = with_number(base, name, value)
                if scenario.visit_after_least_days > scenario.visit_after_most_days:
                    scenario = replace(scenario, visit_after_most_days=scenario.visit_after_least_days)
                yield Variant(f"{name} {word} ({getattr(base, name):g} → {value:g})", scenario)
