"""What can be proposed: who may propose and decide on it, how long it waits, and how it is done."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from inventory.audit.record import Actor
from inventory.models.proposal import Proposal, ProposalKind

Payload = dict[str, Any]


class Overtaken(Exception):
    """The act is no longer possible as it was proposed. The text says why, for people."""


def _nothing(proposal: Proposal, now: datetime, actor: Actor) -> None:
    return None


@dataclass(frozen=True)
class Rules:
    """One kind of proposal. Both functions run in the transaction of the decision."""

    may_propose: str
    """Permission; the proposer must still have it when the act is carried out."""
    may_decide: str
    lifetime: timedelta
    carry_out: Callable[[Payload, datetime, Actor], None]
    """Do the act and record it. What takes long is only enqueued here. Raises Overtaken."""
    ended: Callable[[Proposal, datetime, Actor], None] = _nothing
    """Told of a proposal that ended without being carried out."""


_RULES: dict[ProposalKind, Rules] = {}


def register(kind: ProposalKind, rules: Rules) -> None:
    """Say how proposals of a kind are decided on; called once for each kind, in `AppConfig.ready`."""
    assert kind not in _RULES, f"{kind} is registered already"
    _RULES[kind] = rules


def rules_of(kind: str) -> Rules:
    return _RULES[ProposalKind(kind)]
