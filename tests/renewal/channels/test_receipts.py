"""Receipts: twice, out of order, of messages that are not known, or not yet."""

from datetime import timedelta
from itertools import permutations

import pytest

from renewal.channels import outcomes, receipts
from renewal.channels.messages import Delivery, Fate
from renewal.channels.receipts import Noted, Receipt
from renewal.models import Attempt, EarlyReceipt, ReceiptResult
from tests.factories import DAY, NOW
from tests.renewal.channels.gateways import attempts, gateway

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
DELIVERED, UNDELIVERED, EXPIRED, UNKNOWN = (
    Receipt("a-1", NOW + MINUTE, ReceiptResult.DELIVERED),
    Receipt("a-1", NOW + 3 * MINUTE, ReceiptResult.UNDELIVERED, "err:27"),
    Receipt("a-1", NOW + 2 * MINUTE, ReceiptResult.EXPIRED),
    Receipt("a-1", NOW + 4 * MINUTE, ReceiptResult.UNKNOWN),
)


@pytest.fixture
def sent():
    """An attempt that a gateway took as a-1."""
    [attempt] = attempts(1)
    made = gateway()
    outcomes.write_down([Delivery(attempt.pk, Fate.TAKEN, reference=made.reference_of("a-1"))])
    return made


def facts():
    return set(Attempt.objects.values_list("outcome", "detail", "receipt_at"))


@pytest.mark.parametrize(
    ("told", "outcome"),
    [
        ([UNKNOWN], ("sent", "", UNKNOWN.at)),
        ([UNKNOWN, EXPIRED], ("undelivered", "expired", EXPIRED.at)),
        ([EXPIRED, UNDELIVERED], ("undelivered", "err:27", UNDELIVERED.at)),
        ([UNKNOWN, EXPIRED, UNDELIVERED, DELIVERED], ("delivered", "", DELIVERED.at)),
    ],
)
def test_whatever_their_order_the_same_receipts_end_the_same(sent, told, outcome):
    before = Attempt.objects.values("outcome", "detail", "receipt_at").get()
    for order in permutations(told):
        Attempt.objects.update(**before)
        for receipt in order:
            receipts.note(sent, [receipt], NOW)
        assert facts() == {outcome}
        Attempt.objects.update(**before)
        receipts.note(sent, order, NOW)
        assert facts() == {outcome}


def test_a_receipt_that_comes_again_is_counted_and_changes_nothing(sent):
    assert receipts.note(sent, [DELIVERED], NOW) == Noted(written=1)
    assert receipts.note(sent, [DELIVERED, UNDELIVERED], NOW) == Noted(known=1)
    assert facts() == {("delivered", "", DELIVERED.at)}


def test_a_receipt_of_another_gateway_with_the_same_id_is_not_ours(sent):
    other = gateway(name="another", enabled=False)
    assert receipts.note(other, [DELIVERED], NOW) == Noted(unknown=1)
    assert facts() == {("sent", "", None)}


def test_a_receipt_that_comes_before_its_message_is_written_down_is_matched_later():
    [attempt], made = attempts(1), gateway()
    assert receipts.note(made, [EXPIRED], NOW) == Noted(unknown=1)
    # The better of several is kept.
    receipts.note(made, [DELIVERED], NOW)
    receipts.note(made, [UNDELIVERED], NOW)
    assert receipts.match_early(NOW + MINUTE) == Noted()
    outcomes.write_down([Delivery(attempt.pk, Fate.TAKEN, reference=made.reference_of("a-1"))])
    assert receipts.match_early(NOW + 2 * MINUTE) == Noted(written=1)
    assert facts() == {("delivered", "", DELIVERED.at)}
    assert not EarlyReceipt.objects.exists()


def test_receipts_of_nobody_are_forgotten_after_a_day():
    receipts.note(gateway(), [DELIVERED], NOW)
    receipts.match_early(NOW + DAY)
    assert EarlyReceipt.objects.count() == 1
    receipts.match_early(NOW + DAY + MINUTE)
    assert not EarlyReceipt.objects.exists()


def test_a_thousand_receipts_are_one_statement(sent, django_assert_num_queries):
    many = [Receipt(f"x-{number}", NOW, ReceiptResult.DELIVERED) for number in range(1000)]
    with django_assert_num_queries(1):
        assert receipts.note(sent, [*many, DELIVERED], NOW) == Noted(written=1, unknown=1000)


def test_what_the_gateway_said_at_once_does_not_undo_what_is_known_already():
    [attempt] = attempts(1)
    Attempt.objects.update(outcome="delivered")
    outcomes.write_down([Delivery(attempt.pk, Fate.IN_DOUBT, "no answer")])
    assert facts() == {("delivered", "", None)}
