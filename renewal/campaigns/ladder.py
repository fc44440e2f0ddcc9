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
    """One channel: how long to wait for an answer, how many messages, and how long one is worth it.

    `validity`: how long the operator keeps a message for a device that sleeps. Where that is less than the patience, a
    message reaches only who wakes in time, so the next one follows when it ends, until they have covered the patience
    together: a round. Else a round is one message, which is kept for as long as it is waited for.
    """

    channel: Channel
    patience: timedelta
    attempts: int
    validity: timedelta

    @property
    def a_round(self) -> int:
        """How many messages cover the patience together."""
        return -(-self.patience // self.validity)

    def left_in_round(self, made: int) -> tuple[timedelta, int]:
        """Return what the message that follows `made` others covers with those after it in its round, and how many."""
        place = made % self.a_round
        return self.patience - place * self.validity, min(self.a_round - 1 - place, self.attempts - 1 - made)

    def waits(self, made: int) -> tuple[timedelta, timedelta]:
        """Return the least wait after the message that follows `made` others, and the wait while there is time."""
        least = min(self.patience, self.validity)
        number, place = divmod(made, self.a_round)
        if place < self.a_round - 1:
            return least, least
        return least, max(_backed_off(self.patience, number) - least * place, least)


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

    @property
    def later_first(self) -> tuple[Channel, ...]:
        """The channels, those that begin further on in the ladder first."""

        def begins(channel: Channel) -> int:
            climbed = ([rung.channel for rung in rungs] for rungs in self.rungs.values())
            return max(channels.index(channel) for channels in climbed if channel in channels)

        return tuple(sorted(self.channels, key=begins, reverse=True))

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

    `patience` and `backed_off`: the least wait, and that while there is time. `kept`: whether the message is kept as
    long as it is waited for; else it ends after `validity`. `attempts` counts this one. `steps_left` are the messages
    after it, up to the end of the ladder. `next_channel` is that of the next of them, None when this is the last.
    `unanswered`: over every channel that reaches the device a whole round was waited for in vain before this one.
    `rest`: the part of the wait that it has to cover with the `spare` messages after it in its round.
    """

    rung: int
    attempts: int
    channel: Channel
    patience: timedelta
    backed_off: timedelta
    validity: timedelta
    kept: bool
    steps_left: int
    next_channel: Channel | None
    unanswered: bool
    rest: timedelta
    spare: int


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
    in_vain = {rungs[number].channel for number in usable if number < here or (number == here and made >= rung.a_round)}
    patience, backed_off = rung.waits(made)
    rest, spare = rung.left_in_round(made)
    return Send(
        rung=here,
        attempts=made + 1,
        channel=rung.channel,
        patience=patience,
        backed_off=backed_off,
        validity=rung.validity,
        kept=rung.validity >= rung.patience,
        steps_left=sum(left.values()),
        next_channel=None if following is None else rungs[following].channel,
        unanswered=in_vain == {rungs[number].channel for number in usable},
        rest=rest,
        spare=spare,
    )


def _why(situation: Situation, *, any_usable: bool) -> TargetReason:
    if situation.renewed:
        return TargetReason.UNUSED
    return TargetReason.NO_ANSWER if any_usable else TargetReason.NO_CHANNEL


def _backed_off(patience: timedelta, rounds: int) -> timedelta:
    """Return the patience, doubled with each round made before: at most 14 days."""
    # Compared before it is doubled: the longest timedelta is soon reached.
    doublings = 1 << min(rounds, 30)
    return patience * doublings if patience < LONGEST_WAIT / doublings else LONGEST_WAIT


def shortest_climb(rungs: Sequence[Rung]) -> timedelta:
    """Return how long all messages of `rungs` take, each with its least wait."""
    waits = (rung.waits(made)[0] for rung in rungs for made in range(rung.attempts))
    return sum(waits, timedelta(0))


def look_again_at(step: Send, ends_at: datetime, now: datetime) -> datetime:
    """Return when to look at a target again after `step`: the rule that `ticking` states in SQL.

    Never before the patience is over, so nobody has two messages at once; backed off while there is time; and ever
    sooner towards the end of the certificate, such that every message left still finds it valid.
    """
    share = (ends_at - now) / (step.steps_left + 1)
    return now + max(step.patience, min(step.backed_off, share))


_DAY = timedelta(days=1)
_SLEEP = timedelta(hours=72)
# After the first climb a few more rounds, until the certificate ends: who was away, or was repaired, finds a message
# waiting, and is not visited for want of one.
DEFAULT = Ladder(
    {
        Connectivity.ALWAYS_ON: (
            Rung(Channel.MQTT, _DAY, 3, _DAY),
            Rung(Channel.SMS, _DAY, 2, _DAY),
            Rung(Channel.MQTT, _DAY, 3, _DAY),
            Rung(Channel.SMS, _DAY, 2, _DAY),
            Rung(Channel.MQTT, _DAY, 8, _DAY),
        ),
        Connectivity.DAILY: (
            Rung(Channel.MQTT, _SLEEP, 2, _SLEEP),
            Rung(Channel.SMS, _SLEEP, 3, _SLEEP),
            Rung(Channel.MQTT, _SLEEP, 2, _SLEEP),
            Rung(Channel.SMS, _SLEEP, 2, _SLEEP),
            Rung(Channel.MQTT, _SLEEP, 5, _SLEEP),
        ),
        # Operators keep an SMS for a day, which reaches one in three that sleep for three; and the same one each time,
        # if the waits are multiples of three days.
        Connectivity.INTERMITTENT: (
            Rung(Channel.MQTT, _SLEEP, 3, _SLEEP),
            Rung(Channel.SMS, _SLEEP, 6, _DAY),
            Rung(Channel.MQTT, _SLEEP, 2, _SLEEP),
            Rung(Channel.SMS, _SLEEP, 3, _DAY),
            Rung(Channel.MQTT, _SLEEP, 5, _SLEEP),
        ),
    }
)
"""What a campaign does unless it is told otherwise."""
