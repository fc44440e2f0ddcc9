"""The ladder: the next step of a target. Pure: evidence and time in, one step out."""

from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST_WAIT = timedelta(days=14)


@dataclass(frozen=True)
class Evidence:
    """What is known about one target when its next step is due."""

    attempts_made: int
    reachable_by_mqtt: bool
    certificate_ends: datetime


@dataclass(frozen=True)
class Rules:
    """The rules of the campaign."""

    retry_interval: timedelta
    max_attempts: int


@dataclass(frozen=True)
class Trigger:
    """Send a trigger now, and look again at `look_again_at` if nothing was heard."""

    look_again_at: datetime


@dataclass(frozen=True)
class Escalate:
    """No channel is left: a person has to act."""

    reason: str


Step = Trigger | Escalate


def next_step(evidence: Evidence, rules: Rules, now: datetime) -> Step:
    """Return the next step of a target whose device has not been heard of with a new certificate."""
    if now >= evidence.certificate_ends:
        return Escalate("certificate expired")
    if not evidence.reachable_by_mqtt:
        return Escalate("no MQTT id")
    if evidence.attempts_made >= rules.max_attempts:
        return Escalate(f"no answer to {evidence.attempts_made} attempts")
    # Each silence doubles the wait, but a step must come while the old certificate can still renew.
    # Compared before it is doubled: the longest timedelta is soon reached.
    doublings = 2**evidence.attempts_made
    wait = rules.retry_interval * doublings if rules.retry_interval < LONGEST_WAIT / doublings else LONGEST_WAIT
    return Trigger(min(now + wait, max(evidence.certificate_ends, now + rules.retry_interval)))
