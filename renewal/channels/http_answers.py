"""What the answer of an HTTP gateway, or none, means for one message."""

from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from inventory.alerts.channels.http import Answer, NoAnswer, NotSent
from renewal.channels.messages import Delivery, Fate

# What is wrong with the message or its number. Any other 4xx says that we ask wrongly, as with a key that expired: were
# that a refusal, an hour of it would cost a fleet its channel.
_REFUSALS = frozenset({400, 410, 422})
_TOO_MANY = 429  # RFC 6585 4


def refuses_the_number(answer: Answer) -> bool:
    """Tell whether an answer of 4xx says that this message will never be taken."""
    return answer.status in _REFUSALS


def delivery_of(
    attempt: int,
    ask: Callable[[], Answer],
    now: datetime,
    reference: Callable[[Answer], str],
    refused: Callable[[Answer], bool] = refuses_the_number,
) -> Delivery:
    """Send by `ask`, and return what became of the message; `reference` reads it from an answer of 2xx."""
    try:
        answer = ask()
    except NotSent as problem:
        return Delivery(attempt, Fate.NEVER_LEFT, str(problem)[:200])
    except NoAnswer as problem:
        return Delivery(attempt, Fate.IN_DOUBT, str(problem)[:200])
    if 200 <= answer.status < 300:
        return Delivery(attempt, Fate.TAKEN, reference=reference(answer))
    detail = f"the gateway answered {answer.status}"
    if refused(answer):
        return Delivery(attempt, Fate.REFUSED, detail)
    return Delivery(attempt, Fate.NEVER_LEFT, detail, retry_at=retry_at(answer, now))


def retry_at(answer: Answer, now: datetime) -> datetime | None:
    """Return when the other side wants to be asked again (RFC 9110 10.2.3), None when it does not say."""
    said = answer.headers.get("retry-after", "").strip()
    if answer.status not in (_TOO_MANY, 503) or not said:
        return None
    if said.isascii() and said.isdigit():
        return now + timedelta(seconds=min(int(said), 86_400))
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return None
    return at if at.tzinfo else None
