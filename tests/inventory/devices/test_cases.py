"""Cases: what cut a device off is looked into by one person and decided on by another."""

import pytest

from inventory.approvals import deciding
from inventory.approvals.deciding import Refused
from inventory.audit.record import SYSTEM
from inventory.devices import cases
from inventory.devices.cases import close_case, open_case
from inventory.devices.locked_out import Queue, in_queue
from inventory.models import AuditAction, AuditEvent, Case, Certificate, Device, RevocationReason
from inventory.models.case import CaseOutcome, Verdict
from revocation import orders
from tests.certportal.api import rows
from tests.factories import DAY, NOW, Enrolled, enrolled, investigator
from tests.parallel import at_once

pytestmark = pytest.mark.django_db
ANN, BOB = "ann", "bob"


@pytest.fixture
def meter() -> Enrolled:
    found = enrolled(expires_in=300 * DAY)
    revoke(found.certificate)
    return found


def revoke(certificate: Certificate, now=NOW) -> None:
    assert isinstance(
        orders.revoke(certificate, orders.Order(RevocationReason.KEY_COMPROMISE, SYSTEM), now), orders.Revoked
    )


def opened(meter: Enrolled, proposal=Verdict.CLEARED, actor=ANN) -> Case:
    case = open_case(
        meter.device, finding="Key never left the lab.", proposal=proposal, now=NOW, actor=investigator(actor)
    )
    assert isinstance(case, Case), case
    return case


def refused(answer: Case | Refused) -> str:
    assert isinstance(answer, Refused), answer
    return str(answer.text)


def decided(case: Case, *, agrees=True, actor=BOB, now=NOW) -> Case | Refused:
    return close_case(case.pk, agrees=agrees, note="Seen.", now=now, actor=investigator(actor))


def queues_of(device: Device) -> set[Queue]:
    return {queue for queue in Queue if in_queue(Device.objects.filter(pk=device.pk), queue, NOW).exists()}


def test_a_second_person_clears_a_device_and_both_stand_in_the_log(meter):
    assert queues_of(meter.device) == {Queue.REVOKED}
    case = opened(meter)
    assert queues_of(meter.device) == {Queue.REVOKED}
    closed = decided(case)
    people = (closed.approval.proposer.username, closed.approval.decider.username)
    assert (closed.outcome, *people) == (CaseOutcome.CLEARED, "ann", "bob")
    assert cases.is_cleared(meter.certificate.pk)
    # Nobody distrusts it any more, and it has nothing to authenticate with: it waits to be enrolled anew.
    assert queues_of(meter.device) == {Queue.EXPIRED}
    told = AuditEvent.objects.filter(device=meter.device, action__contains=":case:").order_by("id")
    assert [(event.action, event.actor, event.certificate_id) for event in told] == [
        (AuditAction.CASE_OPENED, "ann", meter.certificate.pk),
        (AuditAction.CASE_CLOSED, "bob", meter.certificate.pk),
    ]
    assert told[0].details["finding"] == "Key never left the lab."


def test_nobody_decides_on_a_case_of_his_own(meter):
    case = opened(meter)
    assert "second person" in refused(decided(case, actor=ANN))
    assert not cases.is_cleared(meter.certificate.pk)
    assert Case.objects.waiting().count() == 1


def test_history_that_is_imported_later_does_not_hide_a_revocation(meter):
    rows.certificate(meter.device, issued_at=NOW - 1500 * DAY, not_after=NOW - 100 * DAY).save()
    assert queues_of(meter.device) == {Queue.REVOKED}


def test_a_device_is_retired_by_two_and_leaves_every_queue(meter):
    decided(opened(meter, Verdict.RETIRED))
    meter.device.refresh_from_db()
    assert meter.device.status == "retired"
    assert queues_of(meter.device) == set()
    assert not cases.is_cleared(meter.certificate.pk)


def test_a_case_that_is_sent_back_clears_nothing_and_may_be_followed_by_another(meter):
    first = opened(meter)
    assert "waits for a second person already" in refused(
        open_case(meter.device, finding="x", proposal=Verdict.CLEARED, now=NOW, actor=investigator(BOB))
    )
    decided(first, agrees=False)
    assert not cases.is_cleared(meter.certificate.pk)
    assert queues_of(meter.device) == {Queue.REVOKED}
    decided(opened(meter, actor=BOB), actor=ANN)
    assert cases.is_cleared(meter.certificate.pk)
    assert "was cleared" in refused(
        open_case(meter.device, finding="x", proposal=Verdict.CLEARED, now=NOW, actor=investigator(ANN))
    )


def test_only_a_revoked_device_has_a_case():
    trusted = enrolled(expires_in=300 * DAY)
    answer = open_case(trusted.device, finding="x", proposal=Verdict.CLEARED, now=NOW, actor=investigator(ANN))
    assert "not revoked" in refused(answer)


def test_a_later_revocation_needs_a_case_of_its_own(meter):
    decided(opened(meter))
    later = enrolled(meter.device, expires_in=300 * DAY, now=NOW + DAY)
    revoke(later.certificate, NOW + 2 * DAY)
    assert not cases.is_cleared(later.certificate.pk)
    assert queues_of(meter.device) == {Queue.REVOKED}


@pytest.mark.django_db(transaction=True)
def test_of_two_who_decide_at_once_one_is_told_that_it_is_closed(meter):
    case = opened(meter)
    investigator(BOB), investigator("carl")
    answers = at_once([lambda: decided(case, actor=BOB), lambda: decided(case, agrees=False, actor="carl")])
    assert sorted(type(answer) is Case for answer in answers) == [False, True]
    assert AuditEvent.objects.filter(action=AuditAction.CASE_CLOSED).count() == 1


@pytest.mark.parametrize("outcome", [CaseOutcome.WITHDRAWN, CaseOutcome.LAPSED])
def test_a_case_that_nobody_decides_on_ends_and_another_may_be_opened(meter, outcome):
    case = opened(meter)
    if outcome == CaseOutcome.LAPSED:
        assert deciding.expire(case.approval.expires_at) == 1
    else:
        deciding.withdraw(case.approval_id, note="Wrong meter.", now=NOW + DAY, actor=investigator(ANN))
    case.refresh_from_db()
    assert case.outcome == outcome
    assert not cases.is_cleared(meter.certificate.pk)
    assert queues_of(meter.device) == {Queue.REVOKED}
    assert AuditEvent.objects.get(action=AuditAction.CASE_CLOSED).details["outcome"] == outcome
    assert opened(meter, actor=BOB).closed_at is None


def test_the_verdict_is_the_one_that_was_frozen_whatever_the_row_says(meter):
    case = opened(meter, Verdict.RETIRED)
    Case.objects.update(proposal=Verdict.CLEARED)
    assert "not the one that was proposed" in refused(decided(case))
    assert not cases.is_cleared(meter.certificate.pk)
    assert Case.objects.waiting().count() == 1
