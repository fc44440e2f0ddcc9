"""What one proposes another decides: who counts as another, what is carried out, and who is told."""

import itertools
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory.approvals.deciding import Refused, Why, decide, expire, propose, withdraw
from inventory.audit.record import SYSTEM, Actor
from inventory.devices.cases import open_case
from inventory.models import AuditAction, AuditEvent, Case, Certificate, Proposal, ProposalKind, ProposalState
from inventory.models.audit import ActorKind
from inventory.models.case import Verdict
from tests.factories import DAY, NOW, enrolled, investigator, person
from tests.parallel import at_once

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)
_numbers = itertools.count()


@pytest.fixture
def case() -> Case:
    """A case that ann opened: its approval clears a device."""
    return opened()


def opened() -> Case:
    meter = enrolled(expires_in=300 * DAY)
    Certificate.objects.filter(pk=meter.certificate.pk).update(
        state="revoked", revoked_at=NOW, revocation_reason="keyCompromise"
    )
    made = open_case(meter.device, finding="A lab's.", proposal=Verdict.CLEARED, now=NOW, actor=investigator("ann"))
    assert isinstance(made, Case), made
    return made


def decided(case: Case, actor: Actor, *, approves: bool = True, now=NOW + DAY) -> Proposal | Refused:
    return decide(case.approval_id, approves=approves, note="Seen.", now=now, actor=actor)


def why(answer: Proposal | Refused) -> Why:
    assert isinstance(answer, Refused), answer
    return answer.why


def is_untouched(case: Case) -> bool:
    case.refresh_from_db()
    waits = Proposal.objects.waiting().filter(pk=case.approval_id, decider=None).exists()
    endings = AuditEvent.objects.filter(action__startswith="approval:").exclude(action=AuditAction.PROPOSAL_MADE)
    return waits and case.closed_at is None and not endings.exists()


def tamper(statement: str) -> None:
    """Change proposals as the owner of the database can, past the trigger."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE inventory_proposal DISABLE TRIGGER USER")
        cursor.execute(statement)
        cursor.execute("ALTER TABLE inventory_proposal ENABLE TRIGGER USER")


# --- Two people -------------------------------------------------------------------------------------------------------


def test_another_person_approves_and_both_are_named(case):
    done = decided(case, investigator("bob"))
    assert isinstance(done, Proposal), done
    assert (done.state, done.proposer.username, done.decider.username) == ("approved", "ann", "bob")
    case.refresh_from_db()
    assert (case.outcome, case.closed_at) == ("cleared", NOW + DAY)
    told = AuditEvent.objects.filter(action__startswith="approval:").order_by("id")
    assert [(event.action, event.actor, event.details["sha256"]) for event in told] == [
        (AuditAction.PROPOSAL_MADE, "ann", bytes(done.sha256).hex()),
        (AuditAction.PROPOSAL_APPROVED, "bob", bytes(done.sha256).hex()),
    ]


def test_nobody_decides_on_what_he_or_she_proposed(case):
    assert why(decided(case, investigator("ann"))) == Why.OWN
    assert why(decided(case, investigator("ann"), approves=False)) == Why.OWN
    assert is_untouched(case)


def test_another_name_on_the_same_account_is_no_second_person(case):
    """Names were compared once: renamed, one person closed her own case."""
    same = Actor(ActorKind.USER, "somebody else: laptop", user_id=investigator("ann").user_id)
    assert why(decided(case, same)) == Why.OWN
    assert is_untouched(case)


@pytest.mark.parametrize(("owned", "owner", "decider"), [("bob", "ann", "bob"), ("ann", "bob", "bob")])
def test_a_service_account_and_its_owner_are_one_person(case, owned, owner, decider):
    # It is given its owner after the proposal: what counts is whose it is when somebody decides.
    owner_id = investigator(owner).user_id
    get_user_model().objects.filter(pk=investigator(owned).user_id).update(owner_id=owner_id)
    assert why(decided(case, investigator(decider))) == Why.OWN
    assert is_untouched(case)
    assert isinstance(decided(case, investigator("carl")), Proposal)


def test_two_service_accounts_of_one_person_are_one_person(case):
    ann, bob = investigator("ann").user_id, investigator("bob").user_id
    get_user_model().objects.filter(pk__in=[ann, bob]).update(owner_id=investigator("dora").user_id)
    assert why(decided(case, investigator("bob"))) == Why.OWN


@pytest.mark.parametrize("actor", [SYSTEM, Actor(ActorKind.USER, "bob"), Actor(ActorKind.DEVICE, "D1")])
def test_who_has_no_account_decides_nothing(case, actor):
    assert why(decided(case, actor)) == Why.NO_ACCOUNT
    assert is_untouched(case)


def test_who_is_inactive_or_lacks_the_permission_decides_nothing(case):
    bob = investigator("bob")
    get_user_model().objects.filter(pk=bob.user_id).update(is_active=False)
    assert why(decided(case, bob)) == Why.NO_ACCOUNT
    assert why(decided(case, person("carl", "add_case"))) == Why.NOT_PERMITTED
    assert is_untouched(case)


def test_what_a_proposer_may_propose_no_more_is_not_carried_out_but_can_be_sent_back(case):
    get_user_model().objects.get(username="ann").user_permissions.remove(Permission.objects.get(codename="add_case"))
    assert why(decided(case, investigator("bob"))) == Why.PROPOSER_NOT_PERMITTED
    assert is_untouched(case)
    assert isinstance(decided(case, investigator("bob"), approves=False), Proposal)


def test_what_somebody_proposed_who_left_is_not_carried_out(case):
    get_user_model().objects.filter(username="ann").update(is_active=False)
    assert why(decided(case, investigator("bob"))) == Why.PROPOSER_NOT_PERMITTED
    assert is_untouched(case)


def test_nobody_proposes_without_the_permission():
    said = {"subject": "certificate:1", "title": "x", "reason": "x", "now": NOW, "fleet": None}
    assert why(propose(ProposalKind.CASE_VERDICT, {}, **said, actor=person("eve", "decide_case"))) == Why.NOT_PERMITTED
    assert why(propose(ProposalKind.CASE_VERDICT, {}, **said, actor=SYSTEM)) == Why.NO_ACCOUNT


# --- Ends -------------------------------------------------------------------------------------------------------------


def test_a_proposal_is_decided_until_it_expires_and_not_in_that_moment(case):
    end = case.approval.expires_at
    assert why(decided(case, investigator("bob"), now=end)) == Why.EXPIRED
    assert isinstance(decided(case, investigator("bob"), now=end - SECOND), Proposal)


def test_what_expired_ends_once_and_is_told(case):
    end = case.approval.expires_at
    assert expire(end - SECOND) == 0
    assert expire(end) == 1
    assert expire(end) == 0
    assert why(decided(case, investigator("bob"), now=end - SECOND)) == Why.ENDED
    assert AuditEvent.objects.filter(action=AuditAction.PROPOSAL_EXPIRED).count() == 1


def test_one_takes_back_ones_own_proposal_and_no_other(case):
    assert why(withdraw(case.approval_id, note="", now=NOW, actor=investigator("bob"))) == Why.NOT_OWN
    done = withdraw(case.approval_id, note="Wrong meter.", now=NOW, actor=investigator("ann"))
    assert isinstance(done, Proposal)
    assert (done.state, done.decider) == (ProposalState.WITHDRAWN, None)
    assert why(decided(case, investigator("bob"))) == Why.ENDED
    assert why(withdraw(case.approval_id, note="", now=NOW, actor=investigator("ann"))) == Why.ENDED


def test_one_proposal_about_the_same_waits_at_a_time_and_an_expired_one_makes_room(case):
    def again(now):
        certificate = case.certificate
        return propose(
            ProposalKind.CASE_VERDICT, {"certificate": certificate.pk}, subject=f"certificate:{certificate.pk}",
            title="x", reason="x", now=now, actor=investigator("bob"), fleet=None,
        )  # fmt: skip

    assert why(again(NOW)) == Why.WAITING_ALREADY
    assert isinstance(again(case.approval.expires_at), Proposal)
    case.refresh_from_db()
    assert case.outcome == "lapsed"


# --- Races and faults -------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_two_who_decide_at_once_one_does_and_the_act_is_done_once():
    case = opened()
    people = [investigator("bob"), investigator("carl")]
    answers = at_once([lambda who=who: decided(case, who) for who in people])
    assert sorted(type(answer).__name__ for answer in answers) == ["Proposal", "Refused"]
    assert AuditEvent.objects.filter(action=AuditAction.CASE_CLOSED).count() == 1
    assert AuditEvent.objects.filter(action=AuditAction.PROPOSAL_APPROVED).count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_a_decision_and_an_expiry_at_once_one_happens():
    case = opened()
    bob, end = investigator("bob"), case.approval.expires_at
    decided_, expired = at_once([lambda: decided(case, bob, now=end - SECOND), lambda: expire(end)])
    assert isinstance(decided_, Proposal) != bool(expired)
    assert AuditEvent.objects.filter(action=AuditAction.CASE_CLOSED).count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_proposals_about_the_same_at_once_one_is_made():
    ann, bob = investigator("ann"), investigator("bob")

    def proposing(who):
        said = {"subject": "certificate:1", "title": "x", "reason": "x", "now": NOW, "fleet": None}
        return lambda: propose(ProposalKind.CASE_VERDICT, {}, **said, actor=who)

    answers = at_once([proposing(ann), proposing(bob)])
    assert sorted(type(answer).__name__ for answer in answers) == ["Proposal", "Refused"]


def test_what_is_frozen_is_refused_by_the_database(case):
    for change in ("payload = '{}'", "proposer_id = 1", "sha256 = '\\x00'", "expires_at = now() + interval '9 years'"):
        refused = pytest.raises(DatabaseError, match="stays as it was made")
        with refused, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE inventory_proposal SET {change}")  # noqa: S608 - the four above
    decided(case, investigator("bob"))
    for statement in ("UPDATE inventory_proposal SET note = 'x'", "DELETE FROM inventory_proposal"):
        with pytest.raises(DatabaseError, match="ends once"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


@pytest.mark.parametrize(
    "change",
    [
        "payload = replace(payload, 'cleared', 'retired')",
        "subject = 'certificate:0'",
        "title = 'harmless'",
        "reason = 'another'",
        "proposer_id = (SELECT id FROM certportal_user WHERE username = 'eve')",
        "proposed_at = proposed_at - interval '1 microsecond'",
        "expires_at = expires_at + interval '1 day'",
        "sha256 = sha256 || '\\x00'",
    ],
)
def test_what_was_altered_in_the_database_is_not_carried_out_but_can_be_sent_back(case, change):
    investigator("eve")
    tamper(f"UPDATE inventory_proposal SET {change}")  # noqa: S608 - those above
    assert why(decided(case, investigator("bob"))) == Why.ALTERED
    assert is_untouched(case)
    assert isinstance(decided(case, investigator("bob"), approves=False), Proposal)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=st.dictionaries(st.text(), JSON, max_size=4))
def test_any_payload_comes_back_from_the_database_as_it_was_frozen(db, payload):
    # Hypothesis asks again what failed, in the same transaction.
    said = {"subject": f"any:{next(_numbers)}", "title": "x", "reason": "x", "now": NOW, "fleet": None}
    proposal = propose(ProposalKind.CASE_VERDICT, payload, **said, actor=investigator("ann"))
    assert isinstance(proposal, Proposal), proposal
    stored = Proposal.objects.get(pk=proposal.pk)
    assert stored.is_as_proposed
    assert stored.content == payload
