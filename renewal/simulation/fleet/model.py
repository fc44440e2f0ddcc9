"""The model shows that it is what it says, before anybody believes what comes of it. Pure."""

import math
from dataclasses import dataclass

from renewal.simulation.fleet.scenario import Scenario
from renewal.simulation.fleet.world import World

# So many that chance moves a share of 7 % by 0.06 %, a third of what is allowed.
METERS = 200_000
_SLEEPERS = 20_000
_WAKES = 40
_NEAR = 0.002
_SMS_NEAR = 0.02


class ModelRefused(ValueError):
    """The model does not do what it says; the text names the property, what was asked and what came."""


@dataclass(frozen=True)
class Model:
    """Properties of the model, measured. Shares are from 0 to 1.

    `persistent`, `transitory`, `site`: meters away at the start for each reason.
    """

    meters: int
    unreachable_in_window: float
    persistent: float
    transitory: float
    site: float
    longest_sleep_hours: float
    sms_of_24_h_reaches_72_h_sleeper: float


def proven(scenario: Scenario, seed: int, meters: int = METERS) -> Model:
    """Return the measured properties. Raises ModelRefused when one is not what the scenario says."""
    window = scenario.window_days * 24
    world = World(scenario, seed, window)
    model = Model(
        meters=meters,
        unreachable_in_window=sum(_away_for(world, meter, window) for meter in range(meters)) / meters,
        persistent=sum(balance.share for balance in world.faults.balances.values()),
        transitory=scenario.transitory,
        site=_site_share(world, meters),
        longest_sleep_hours=_longest_sleep(world),
        sms_of_24_h_reaches_72_h_sleeper=_reached_in(world, 24 / 72),
    )
    _check("share unreachable in a window", model.unreachable_in_window, scenario.unreachable_in_window, _NEAR)
    _check("SMS of 24 h reaching a 72 h sleeper", model.sms_of_24_h_reaches_72_h_sleeper, 1 / 3, _SMS_NEAR)
    most = max(scenario.deep_sleep_hours, scenario.daily_window_hours)
    if not 0.95 * most < model.longest_sleep_hours <= most + 1e-6:
        raise ModelRefused(f"The longest sleep is {model.longest_sleep_hours:.1f} h; the scenario says {most:.1f} h.")
    return model


def _check(what: str, found: float, wanted: float, near: float) -> None:
    if abs(found - wanted) > near:
        raise ModelRefused(f"{what}: the model gives {found:.4f}; the scenario says {wanted:.4f} ± {near}.")


def _away_for(world: World, meter: int, window: float) -> bool:
    # Only who has a persistent fault can be away for all of a window; looking at the others would take minutes.
    if not world.faults.persistent(meter):
        return False
    return world.next_contact(meter, 0.0, window) is None


def _site_share(world: World, meters: int) -> float:
    sites = range(world.meters.site(meters - 1) + 1)
    return sum(any(begin <= 0 < end for begin, end in world.sites.outages(site)) for site in sites) / len(sites)


def _sleepers(world: World) -> list[int]:
    deep = [meter for meter in range(_SLEEPERS) if world.meters.sleeps_deep(meter)]
    return deep or list(range(_SLEEPERS))


def _longest_sleep(world: World) -> float:
    longest = 0.0
    for meter in _sleepers(world)[:200]:
        wake = world.meters.next_wake(meter, 0.0)
        for _ in range(_WAKES):
            following = world.meters.next_wake(meter, math.nextafter(wake, math.inf))
            longest, wake = max(longest, following - wake), following
    return longest


def _reached_in(world: World, share: float) -> float:
    """Return the share of sleepers that wake within `share` of their sleep after any moment."""
    sleepers = _sleepers(world)
    hour = world.scenario.restart_days * 12
    reached = sum(
        world.meters.next_wake(meter, hour) <= hour + share * world.meters.sleep_hours(meter) for meter in sleepers
    )
    return reached / len(sleepers)
