"""Messages that end before their wait is over are sent such that they last over the wake of the device.

An operator keeps an SMS for a day, say, and the device sleeps for three. Without a forecast one message follows the
other until they have covered the wait; with one, the first waits until the expected wake lies amid its validity. It
stands for those that would have been sent meanwhile, so the ladder is climbed in the same time. A device that was
asked over the channel since it was last seen was asleep at the expected wake, or did not hear: then one message follows
the other, as without a forecast.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from inventory.sightings.wakes import Expected, expected
from renewal.campaigns.ladder import Send
from renewal.campaigns.windows import Window, opens_at
from renewal.models import Campaign

# Whose message was put off already, and the wake is still ahead, is put off no more.
_WAKES = """
    SELECT target.id, target.ends_at, presence.wakes
    FROM renewal_target target JOIN inventory_devicepresence presence ON presence.device_id = target.device_id
    WHERE target.id = ANY(%(targets)s) AND presence.wakes IS NOT NULL
      AND (target.wake_expected_at IS NULL OR target.wake_expected_at <= %(now)s)
      AND NOT EXISTS (
        SELECT FROM renewal_attempt attempt
        WHERE attempt.target_id = target.id AND attempt.channel = %(channel)s AND attempt.at >= presence.last_seen_at
      )"""
_PUT_OFF = """
    UPDATE renewal_target target
    SET next_step_at = aimed.clock, wake_expected_at = aimed.wake, rung = %(rung)s,
        rung_attempts = %(made)s + aimed.stands_for
    FROM unnest(%(aimed)s::bigint[], %(clocks)s::timestamptz[], %(wakes)s::timestamptz[], %(stand_for)s::integer[])
        AS aimed (id, clock, wake, stands_for)
    WHERE target.id = aimed.id"""


@dataclass(frozen=True)
class Aim:
    """A message leaves at `at` for the wake expected at `wake`. It stands for so many others that do not leave."""

    at: datetime
    wake: datetime
    stands_for: int


def aim(
    step: Send, wake: Expected, ends_at: datetime, now: datetime, window: Window | None = None, zone: str | None = None
) -> Aim | None:
    """Return when the message of `step` leaves so that it lasts over `wake`, None for now. Pure.

    None too when the wake comes after the rest of the wait, when it would leave too little time for the messages after
    this one until `ends_at`, and when the window is closed before the wake. `zone`: where the device is, if there is a
    `window`.
    """
    earliest, latest = wake.at + wake.within - step.validity, wake.at - wake.within
    if earliest <= now or earliest > latest or wake.at + wake.within > now + step.rest:
        return None
    at = next((at for at in _open((wake.at - step.validity / 2, earliest), window, zone) if at <= latest), None)
    if at is None:
        return None
    stands_for = min((at - now) // step.validity, step.spare)
    if ends_at - at < (step.steps_left - stands_for + 1) * step.patience:
        return None
    return Aim(at, wake.at, stands_for)


def _open(moments: Sequence[datetime], window: Window | None, zone: str | None) -> list[datetime]:
    """Return each of `moments`, or when the window opens after it."""
    if window is None or zone is None:
        return list(moments)
    return [opens_at(window, {zone}, moment).get(zone, moment) for moment in moments]


def put_off(
    cursor: Any, campaign: Campaign, step: Send, targets: Sequence[int], zone: str | None, now: datetime
) -> Sequence[int]:
    """Put off the message of `step` for those of `targets` whose wake it would miss; return the others.

    One query, and another when any is put off; none for a message that lasts for the rest of the wait.
    """
    if step.rest <= step.validity:
        return targets
    cursor.execute(_WAKES, {"targets": targets, "channel": step.channel.value, "now": now})
    aimed: dict[int, Aim] = {}
    for target, ends_at, wakes in cursor.fetchall():
        wake = expected(wakes, now)
        found = wake and aim(step, wake, ends_at, now, campaign.window, zone)
        if found:
            aimed[target] = found
    if not aimed:
        return targets
    cursor.execute(
        _PUT_OFF,
        {
            "aimed": list(aimed),
            "clocks": [campaign.clock(each.at) for each in aimed.values()],
            "wakes": [each.wake for each in aimed.values()],
            "stand_for": [each.stands_for for each in aimed.values()],
            "rung": step.rung,
            "made": step.attempts - 1,
        },
    )
    return [target for target in targets if target not in aimed]
