"""Receipts: what gateways say later of messages that they took.

They come twice, out of order, for messages of others, and before the batch that they answer is written down: what is
known of none is kept for a while, and matched again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from renewal.models import Attempt, EarlyReceipt, Gateway, ReceiptResult

# A batch is written down within minutes; the rest are of others, or of attempts that a campaign has forgotten.
_KEPT_FOR = timedelta(days=1)
_MOST_AT_ONCE = 10_000


@dataclass(frozen=True)
class Receipt:
    """What became of one message. `at`: when, as the gateway says, else when it was heard."""

    reference: str
    at: datetime
    result: ReceiptResult
    detail: str = ""


@dataclass(frozen=True)
class Noted:
    """What receipts did: `written` said something new, `known` nothing new, `unknown` name no message of ours yet."""

    written: int = 0
    known: int = 0
    unknown: int = 0


# How much an outcome is worth: delivered wins over undelivered, whatever the order in which they come; of the same
# worth the later wins. What says that nothing is known yields to all that says more.
_WORTH_OF_RESULT = "CASE told.result WHEN 'delivered' THEN 3 WHEN 'unknown' THEN 1 ELSE 2 END"
_WORTH_OF_OUTCOME = """CASE WHEN attempt.outcome = 'delivered' THEN 3
    WHEN attempt.outcome = 'undelivered' THEN 2 WHEN attempt.receipt_at IS NOT NULL THEN 1 ELSE 0 END"""
_NOTE = f"""
WITH said AS (
    SELECT reference, result, at, detail FROM unnest(
        %(references)s::varchar[], %(results)s::varchar[], %(moments)s::timestamptz[], %(details)s::varchar[]
    ) AS each(reference, result, at, detail)
), told AS (
    SELECT DISTINCT ON (reference) told.*, {_WORTH_OF_RESULT} AS worth
    FROM said told ORDER BY reference, worth DESC, at DESC
), ours AS (
    SELECT attempt.id, told.*,
           (told.worth, told.at) > ({_WORTH_OF_OUTCOME}, coalesce(attempt.receipt_at, '-infinity')) AS news
    FROM told JOIN renewal_attempt attempt ON attempt.reference = told.reference AND attempt.reference <> ''
    ORDER BY attempt.id
    FOR UPDATE OF attempt
), written AS (
    UPDATE renewal_attempt attempt
    SET receipt_at = ours.at, detail = ours.detail,
        outcome = CASE ours.worth WHEN 3 THEN 'delivered' WHEN 2 THEN 'undelivered' ELSE attempt.outcome END
    FROM ours WHERE attempt.id = ours.id AND ours.news
    RETURNING 1
), early AS (
    INSERT INTO renewal_earlyreceipt AS kept (reference, result, at, detail, received_at)
    SELECT reference, result, at, detail, %(now)s FROM told
    WHERE NOT EXISTS (SELECT FROM ours WHERE ours.reference = told.reference)
    ON CONFLICT (reference) DO UPDATE
    SET result = excluded.result, at = excluded.at, detail = excluded.detail
    WHERE kept.result <> 'delivered' AND (excluded.result = 'delivered' OR excluded.at > kept.at)
)
SELECT (SELECT count(*) FROM written), (SELECT count(*) FROM ours),
       (SELECT count(*) FROM told WHERE NOT EXISTS (SELECT FROM ours WHERE ours.reference = told.reference))
"""  # noqa: S608  # put together from constants


def note(driver: Gateway, receipts: Sequence[Receipt], now: datetime) -> Noted:
    """Write down what a gateway says of its messages. One statement, whatever their number.

    Two receipts of one message in a batch are one: that which is worth more.
    """
    return _note(
        [Receipt(driver.reference_of(each.reference), each.at, each.result, _detail(each)) for each in receipts],
        now,
    )


def match_early(now: datetime) -> Noted:
    """Write down the receipts that came before their messages were, and drop those that were kept long enough.

    Three statements for up to 10,000 receipts; the rest waits for the next time.
    """
    with transaction.atomic():
        known = EarlyReceipt.objects.filter(Exists(Attempt.objects.filter(reference=OuterRef("reference"))))
        matched = list(known.select_for_update(skip_locked=True)[:_MOST_AT_ONCE])
        EarlyReceipt.objects.filter(pk__in=[early.pk for early in matched]).delete()
        noted = _note(
            [Receipt(early.reference, early.at, ReceiptResult(early.result), early.detail) for early in matched], now
        )
    EarlyReceipt.objects.filter(received_at__lt=now - _KEPT_FOR).delete()
    return noted


def _note(receipts: Sequence[Receipt], now: datetime) -> Noted:
    if not receipts:
        return Noted()
    with connection.cursor() as cursor:
        cursor.execute(
            _NOTE,
            {
                "references": [receipt.reference for receipt in receipts],
                "results": [receipt.result.value for receipt in receipts],
                "moments": [receipt.at for receipt in receipts],
                "details": [receipt.detail for receipt in receipts],
                "now": now,
            },
        )
        [(written, ours, unknown)] = cursor.fetchall()
    return Noted(written, ours - written, unknown)


def _detail(receipt: Receipt) -> str:
    """Return the reason; a message that nobody fetched in time has a word of its own, beside undelivered."""
    expired = ReceiptResult.EXPIRED.value if receipt.result == ReceiptResult.EXPIRED else ""
    return " ".join(filter(None, (expired, receipt.detail)))[:200]
