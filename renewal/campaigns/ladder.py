"""The ladder: over which channels a device is asked to renew, how often and how patiently, until a person goes. Pure.

A ladder has rungs for each connectivity class. It is asked once for each situation, whatever the number of targets in
it, so a step says when to look again as a rule, which `look_again_at` and the statement that claims targets both apply.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from inventory.models import Connectivity
from renewal.models import Channel, TargetReason

LONGEST_WAIT = timedelta(days=14)
MOST_RUNGS = 8
MOST_ATTEMPTS = 50


class LadderError(ValueError):
    """What was given is no ladder; the text says why."""


@dataclass(frozen=True)
class Rung:
    """One channel: how long to wait for an answer to each message, how many messages, and how long one is worth it.

    `validity`: how long the operator keeps a message for a device that sleeps.
    """

    channel: Channel
    patience: timedelta
    attempts: int
    validity: timedelta


@dataclass(frozen=True)
class Ladder:
    """The rungs of each connectivity class, from the cheapest to the last before a person goes."""

    rungs: Mapping[Connectivity, tuple[Rung, ...]]

    def of(self, connectivity: Connectivity) -> tuple[Rung, ...]:
        return self.rungs.get(connectivity, ())

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels of all rungs, in the order of `Channel`."""
        used = {rung.channel for rungs in self.rungs.values() for rung in rungs}
        return tuple(channel for channel in Channel if channel in used)

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads: durations in seconds."""
        return {
            connectivity.value: [
                {
                    "channel": rung.channel.value,
                    "patience": round(rung.patience.total_seconds()),
                    "attempts": rung.attempts,
                    "validity": round(rung.validity.total_seconds()),
                }
                for rung in rungs
            ]
            for connectivity, rungs in self.rungs.items()
        }

    @classmethod
    def from_json(cls, data: Any) -> "Ladder":
        """Read a ladder. Raises LadderError."""
        if not isinstance(data, dict):
            raise LadderError("A ladder is an object with a list of rungs for each connectivity class.")
        try:
            rungs = {Connectivity(name): tuple(_rung(each) for each in listed) for name, listed in data.items()}
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise LadderError(f"The ladder cannot be read: {error}.") from error
        for connectivity, listed in rungs.items():
            _check(connectivity, listed)
        return cls(rungs)


def _rung(data: Mapping[str, Any]) -> Rung:
    return Rung(
        channel=Channel(data["channel"]),
        patience=timedelta(seconds=int(data["patience"])),
        attempts=int(data["attempts"]),
        validity=timedelta(seconds=int(data["validity"])),
    )


def _check(connectivity: Connectivity, rungs: Sequence[Rung]) -> None:
    if len(rungs) > MOST_RUNGS:
        raise LadderError(f"{connectivity.label}: a ladder has at most {MOST_RUNGS} rungs.")
    for number, rung in enumerate(rungs, 1):
        where = f"{connectivity.label}, rung {number}"
        if not timedelta(0) < rung.patience <= LONGEST_WAIT:
            raise LadderError(f"{where}: patience is more than nothing and at most {LONGEST_WAIT.days} days.")
        if not timedelta(0) < rung.validity <= LONGEST_WAIT:
            raise LadderError(f"{where}: validity is more than nothing and at most {LONGEST_WAIT.days} days.")
        if not 1 <= rung.attempts <= MOST_ATTEMPTS:
            raise LadderError(f"{where}: 1 to {MOST_ATTEMPTS} attempts.")


@dataclass(frozen=True)
class Situation:
    """What is known alike of targets that are due.

    `rung` counts from 0, `attempts` those made on it. `reachable`: the channels for which the device has an address
    and the fleet a way. `renewed`: there is a new certificate, which was never used. `ended`: the old one has.
    """

    connectivity: Connectivity
    rung: int
    attempts: int
    reachable: frozenset[Channel]
    renewed: bool = False
    ended: bool = False


@dataclass(frozen=True)
class Send:
    """Send a message over the channel of a rung, and look again later (`look_again_at`).

    `attempts` counts this one. `steps_left` are the messages after it, up to the end of the ladder. `next_channel` is
    that of the next of them, None when this is the last. `unanswered`: over every channel that reaches the device a
    message was waited for in vain before this one.
    """

    rung: int
    attempts: int
    channel: Channel
    patience: timedelta
    backed_off: timedelta
    validity: timedelta
    steps_left: int
    next_channel: Channel | None
    unanswered: bool


@dataclass(frozen=True)
class GiveUp:
    """No message is left: a person has to act."""

    reason: TargetReason


Step = Send | GiveUp


def next_step(situation: Situation, ladder: Ladder) -> Step:
    """Return the next step of targets whose devices were not heard of.

    Rungs over which a device cannot be reached are passed over. A device whose certificate has ended can renew no more,
    unless it holds a new one.
    """
    if situation.ended and not situation.renewed:
        return GiveUp(TargetReason.EXPIRED)
    rungs = ladder.of(situation.connectivity)
    usable = [number for number, rung in enumerate(rungs) if rung.channel in situation.reachable]
    left = {number: rungs[number].attempts for number in usable if number >= situation.rung}
    if situation.rung in left:
        left[situation.rung] = max(left[situation.rung] - situation.attempts, 0)
    here = next((number for number, attempts in left.items() if attempts), None)
    if here is None:
        return GiveUp(_why(situation, any_usable=bool(usable)))
    rung = rungs[here]
    made = situation.attempts if here == situation.rung else 0
    left[here] -= 1
    following = next((number for number, attempts in left.items() if attempts), None)
    in_vain = {rungs[number].channel for number in usable if number < here or (number == here and made)}
    return Send(
        rung=here,
        attempts=made + 1,
        channel=rung.channel,
        patience=rung.patience,
        backed_off=_backed_off(rung.patience, made),
        validity=rung.validity,
        steps_left=sum(left.values()),
        next_channel=None if following is None else rungs[following].channel,
        unanswered=in_vain == {rungs[number].channel for number in usable},
    )


def _why(situation: Situation, *, any_usable: bool) -> TargetReason:
    if situation.renewed:
        return TargetReason.UNUSED
    return TargetReason.NO_ANSWER if any_usable else TargetReason.NO_CHANNEL


def _backed_off(patience: timedelta, made: int) -> timedelta:
    """Return the patience, doubled with each attempt made before: at most 14 days."""
    # Compared before it is doubled: the longest timedelta is soon reached.
    doublings = 1 << min(made, 30)
    return patience * doublings if patience < LONGEST_WAIT / doublings else LONGEST_WAIT


def look_again_at(step: Send, ends_at: datetime, now: datetime) -> datetime:
    """Return when to look at a target again after `step`: the rule that `ticking` states in SQL.

    Never before the patience is over, so nobody is asked twice in one wait; backed off while there is time; and ever
    sooner towards the end of the certificate, such that every message left still finds it valid.
    """
    share = (ends_at - now) / (step.steps_left + 1)
    return now + max(step.patience, min(step.backed_off, share))


_DAY = timedelta(days=1)
_SLEEP = timedelta(hours=72)
DEFAULT = Ladder(
    {
        Connectivity.ALWAYS_ON: (
            Rung(Channel.MQTT, _DAY, 3, _DAY),
            Rung(Channel.SMS, _DAY, 2, _DAY),
        ),
        Connectivity.DAILY: (
            Rung(Channel.MQTT, _SLEEP, 2, _SLEEP),
            Rung(Channel.SMS, _SLEEP, 3, _SLEEP),
        ),
        # An SMS that is kept for a day reaches one in three that sleep for three: it is worth as long as they sleep.
        Connectivity.INTERMITTENT: (
            Rung(Channel.MQTT, _SLEEP, 3, _SLEEP),
            Rung(Channel.SMS, _SLEEP, 4, _SLEEP),
        ),
    }
)
"""What a campaign does unless it is told otherwise."""
