"""What the answers of a wave show: that the next one may open, or that something is wrong. Pure.

Failures count among those that answered. Who is silent may be asleep: it is neither success nor failure, but as long as
too many are, nothing is shown.
"""

import math
from dataclasses import dataclass

# Of the 95 % interval: 2.5 % on either side.
_Z = 1.959964
_DOUBT = 0.025
# Of the devices whose first wait is over, so many should have answered. In bad years one meter in five is silent; where
# one in two is, those that answered may be another kind of device than those that did not.
SHARE_THAT_ANSWERS = 0.5


@dataclass(frozen=True)
class Evidence:
    """What is known of the targets of one wave.

    `to_ask`: not asked yet. `answered`: renewed and used the new certificate, or `failed` to. `expected`: how many
    answers there should be by now. `able`: those that may answer still.
    """

    to_ask: int
    answered: int
    failed: int
    expected: float
    able: int


def upper_bound(failed: int, answered: int) -> float:
    """Return the upper end of the 95 % Wilson score interval of the share that fails, 1 for no answer."""
    if not answered:
        return 1.0
    share, square = failed / answered, _Z * _Z / answered
    half = _Z * math.sqrt((share * (1 - share) + square / 4) / answered)
    return (share + square / 2 + half) / (1 + square)


def answers_for(failed: int, limit: float) -> int:
    """Return how many answers it takes, `failed` of them failures, to show a share below `limit` (0 < limit < 1)."""
    most = max(failed, 1)
    while upper_bound(failed, most) >= limit:
        most *= 2
    least = most // 2
    while most - least > 1:
        middle = (least + most) // 2
        if middle >= failed and upper_bound(failed, middle) < limit:
            most = middle
        else:
            least = middle
    return most


def answers_missing(evidence: Evidence, limit: float) -> int:
    """Return how many more answers, all good, open the next wave: 0 when it may open now."""
    shown = answers_for(evidence.failed, limit) - evidence.answered
    due = math.ceil(evidence.expected) - evidence.answered
    return max(shown, due, 0)


def may_open_next(evidence: Evidence, limit: float) -> bool:
    """Return whether all were asked, the answers due are in, and show that fewer than `limit` fail."""
    return not evidence.to_ask and not answers_missing(evidence, limit)


def answers_that_outweigh(failed: int, limit: float) -> int:
    """Return how many answers, `failed` of them failures, never exceed `limit`, and neither do more."""
    return math.ceil(failed / limit)


def exceeds(failed: int, answered: int, limit: float) -> bool:
    """Return whether more than the share `limit` fails, and not by chance: the exact binomial test, at 2.5 %.

    The interval above is not for this: of one answer that failed it would say that at least 20 % do.
    """
    if failed <= answered * limit:
        return False
    # The probability of this number of failures if just the limit fails, and then of each higher one.
    log = math.lgamma(answered + 1) - math.lgamma(failed + 1) - math.lgamma(answered - failed + 1)
    term = math.exp(log + failed * math.log(limit) + (answered - failed) * math.log1p(-limit))
    tail = 0.0
    for number in range(failed, answered + 1):
        tail += term
        if tail >= _DOUBT or term < tail * 1e-12:
            break
        term *= (answered - number) / (number + 1) * limit / (1 - limit)
    return tail < _DOUBT
