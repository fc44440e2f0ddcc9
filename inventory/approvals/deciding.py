"""Proposals made, decided on, withdrawn and expired.

Two people are two accounts, told apart by their keys. A token is the account that it belongs to, a service account the
person who owns it: neither makes anybody a second person.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from inventory.approvals.kinds import Overtaken, Payload, Rules, rules_of
from inventory.audit.record import SYSTEM, Actor, event, record
from inventory.models import AuditAction
from inventory.models.proposal import Proposal, ProposalKind, ProposalQuerySet, ProposalState, canonical

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class Account(Protocol):
    """What deciding asks of the user model."""

    pk: int

    @property
    def person_id(self) -> int:
        """Key of the person behind the account: two accounts of one person are not two people."""

    def has_perm(self, perm: str) -> bool: ...


_WORDS = {
    ProposalState.WAITING: AuditAction.PROPOSAL_MADE,
    ProposalState.APPROVED: AuditAction.PROPOSAL_APPROVED,
    ProposalState.REJECTED: AuditAction.PROPOSAL_REJECTED,
    ProposalState.WITHDRAWN: AuditAction.PROPOSAL_WITHDRAWN,
    ProposalState.EXPIRED: AuditAction.PROPOSAL_EXPIRED,
}


class Why(StrEnum):
    NO_ACCOUNT = "no_account"
    NOT_PERMITTED = "not_permitted"
    WAITING_ALREADY = "waiting_already"
    OWN = "own"
    NOT_OWN = "not_own"
    ENDED = "ended"
    EXPIRED = "expired"
    ALTERED = "altered"
    PROPOSER_NOT_PERMITTED = "proposer_not_permitted"
    OVERTAKEN = "overtaken"


@dataclass(frozen=True)
class Refused:
    """Why a proposal is not made or decided on; the text is for people."""

    why: Why
    text: "StrOrPromise"


def propose(
    kind: ProposalKind,
    payload: Payload,
    *,
    subject: str,
    title: str,
    reason: str,
    now: datetime,
    actor: Actor,
    fleet: int | None,
) -> Proposal | Refused:
    """Propose an act to a second person. `payload` (JSON) is all the act will be given.

    `fleet`: the key of the one that it is about, None for the portal itself.
    """
    rules = rules_of(kind)
    with transaction.atomic():
        proposer = _account(actor)
        if proposer is None:
            return _no_account()
        if not proposer.has_perm(rules.may_propose):
            return _not_permitted(rules.may_propose)
        _expire(Proposal.objects.filter(kind=kind, subject=subject), now)
        proposal = Proposal(
            kind=kind,
            subject=subject,
            title=title[:300],
            fleet_id=fleet,
            payload=canonical(payload),
            reason=reason[:1000],
            proposer_id=proposer.pk,
            proposed_at=now,
            expires_at=now + rules.lifetime,
        )
        proposal.sha256 = proposal.digest()
        try:
            with transaction.atomic():
                proposal.save(force_insert=True)
        except IntegrityError:
            if not Proposal.objects.waiting().filter(kind=kind, subject=subject).exists():
                raise
            return Refused(Why.WAITING_ALREADY, _("A proposal about the same waits for a second person already."))
        _tell(proposal, now, actor)
        return proposal


def decide(pk: int, *, approves: bool, note: str, now: datetime, actor: Actor) -> Proposal | Refused:
    """Carry out what another person proposed, or send it back. Of two who decide at once, one is refused.

    A refusal changes nothing: the proposal waits on. Raises Proposal.DoesNotExist.
    """
    with transaction.atomic():
        proposal = _locked(pk)
        rules = rules_of(proposal.kind)
        decider = _account(actor)
        if decider is None:
            return _no_account()
        refused = _not_by(decider, proposal, rules) or _too_late(proposal, now)
        if approves:
            refused = refused or _not_as_proposed(proposal, rules)
        if refused is not None:
            return refused
        proposal.decider_id = decider.pk
        _end(proposal, ProposalState.APPROVED if approves else ProposalState.REJECTED, note, now, actor)
        if not approves:
            rules.ended(proposal, now, actor)
            return proposal
        try:
            rules.carry_out(proposal.content, now, actor)
        except Overtaken as overtaken:
            transaction.set_rollback(True)
            return Refused(Why.OVERTAKEN, str(overtaken))
        return proposal


def withdraw(pk: int, *, note: str, now: datetime, actor: Actor) -> Proposal | Refused:
    """Withdraw one's own proposal. Raises Proposal.DoesNotExist."""
    with transaction.atomic():
        proposal = _locked(pk)
        account = _account(actor)
        if account is None:
            return _no_account()
        if account.person_id != proposal.proposer.person_id:
            return Refused(Why.NOT_OWN, _("Only who proposed it takes it back; others send it back."))
        refused = _too_late(proposal, now)
        if refused is not None:
            return refused
        _end(proposal, ProposalState.WITHDRAWN, note, now, actor)
        rules_of(proposal.kind).ended(proposal, now, actor)
        return proposal


def expire(now: datetime) -> int:
    """Expire every proposal that was not decided in time. Return how many."""
    with transaction.atomic():
        return _expire(Proposal.objects.all(), now)


def _expire(proposals: ProposalQuerySet, now: datetime) -> int:
    # What somebody decides on at this moment is left to him or her.
    overdue = proposals.overdue(now).select_for_update(of=("self",), no_key=True, skip_locked=True)
    ended = 0
    for proposal in overdue.order_by("pk"):
        _end(proposal, ProposalState.EXPIRED, "", now, SYSTEM)
        rules_of(proposal.kind).ended(proposal, now, SYSTEM)
        ended += 1
    return ended


def _locked(pk: int) -> Proposal:
    locked = Proposal.objects.select_for_update(of=("self",), no_key=True)
    return locked.select_related("proposer", "decider").get(pk=pk)


def _account(actor: Actor) -> Account | None:
    """Return the account behind an act as it stands now, None for the system, a device or who may not log in."""
    if actor.user_id is None:
        return None
    return get_user_model().objects.filter(pk=actor.user_id, is_active=True).first()


def _no_account() -> Refused:
    return Refused(Why.NO_ACCOUNT, _("Only people with an active account propose and decide."))


def _not_permitted(permission: str) -> Refused:
    return Refused(Why.NOT_PERMITTED, _("This needs the permission %(name)s.") % {"name": permission})


def _not_by(decider: Account, proposal: Proposal, rules: Rules) -> Refused | None:
    if not decider.has_perm(rules.may_decide):
        return _not_permitted(rules.may_decide)
    if decider.person_id == proposal.proposer.person_id:
        return Refused(Why.OWN, _("You proposed this; a second person decides on it."))
    return None


def _too_late(proposal: Proposal, now: datetime) -> Refused | None:
    if proposal.state != ProposalState.WAITING:
        words = {"state": proposal.get_state_display(), "who": proposal.decider or "-"}
        return Refused(Why.ENDED, _("It has ended: %(state)s (%(who)s).") % words)
    if proposal.expires_at <= now:
        text = _("It expired on %(when)s; propose it anew.") % {"when": f"{proposal.expires_at:%Y-%m-%d %H:%M}"}
        return Refused(Why.EXPIRED, text)
    return None


def _not_as_proposed(proposal: Proposal, rules: Rules) -> Refused | None:
    if not proposal.is_as_proposed:
        return Refused(
            Why.ALTERED,
            _("It was altered after it was proposed: its SHA-256 does not fit. Look into the database."),
        )
    if not proposal.proposer.has_perm(rules.may_propose):  # never for an account that is not active
        text = _("%(who)s may no longer propose this; somebody else has to propose it.")
        return Refused(Why.PROPOSER_NOT_PERMITTED, text % {"who": proposal.proposer})
    return None


def _end(proposal: Proposal, state: ProposalState, note: str, now: datetime, actor: Actor) -> None:
    proposal.state, proposal.note, proposal.ended_at = state, note[:1000], now
    proposal.save(update_fields=["state", "note", "ended_at", "decider"])
    _tell(proposal, now, actor)


def _tell(proposal: Proposal, now: datetime, actor: Actor) -> None:
    details = {
        "id": proposal.pk,
        "kind": str(proposal.kind),
        "sha256": bytes(proposal.sha256).hex(),
        "reason": proposal.reason if proposal.state == ProposalState.WAITING else "",
        "proposer": proposal.proposer.get_username(),
        "note": proposal.note,
    }
    told = event(
        _WORDS[ProposalState(proposal.state)],
        now=now,
        actor=actor,
        object_name=proposal.title,
        details={key: value for key, value in details.items() if value},
    )
    record([told])
