"""Writing down what became of messages, as the next hop said at once; what it says later are `receipts`."""

from collections.abc import Sequence

from django.db import connection

from renewal.channels.messages import Delivery, Fate
from renewal.models import AttemptOutcome

_OUTCOMES = {
    Fate.TAKEN: AttemptOutcome.SENT,
    Fate.IN_DOUBT: AttemptOutcome.IN_DOUBT,
    Fate.REFUSED: AttemptOutcome.REFUSED,
}
# A device may have acknowledged before its broker was heard: what is known already is the better knowledge. Attempts
# are locked in the order of their keys here, by receipts and by acknowledgements, which come at the same time.
_WRITE = """
WITH claimed AS (
    SELECT id FROM renewal_attempt WHERE id = ANY(%(attempts)s) AND outcome = %(claimed)s ORDER BY id FOR UPDATE
)
UPDATE renewal_attempt attempt
SET outcome = told.outcome, detail = told.detail, reference = told.reference
FROM claimed
JOIN unnest(%(attempts)s::bigint[], %(outcomes)s::varchar[], %(details)s::varchar[], %(references)s::varchar[])
     AS told(attempt_id, outcome, detail, reference) ON told.attempt_id = claimed.id
WHERE attempt.id = claimed.id
"""


def write_down(deliveries: Sequence[Delivery]) -> None:
    """Write outcome, reason and reference of each message that may have left. One statement.

    What never left is left to the caller, who takes its attempt back.
    """
    told = [delivery for delivery in deliveries if delivery.fate in _OUTCOMES]
    if not told:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _WRITE,
            {
                "attempts": [delivery.attempt for delivery in told],
                "outcomes": [_OUTCOMES[delivery.fate].value for delivery in told],
                "details": [delivery.detail[:200] for delivery in told],
                "references": [delivery.reference[:140] for delivery in told],
                "claimed": AttemptOutcome.CLAIMED.value,
            },
        )
