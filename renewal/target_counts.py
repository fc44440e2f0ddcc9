"""Targets by campaign and state: read, folded and checked. Triggers write what each statement changed.

As with the counters of certificates nobody who writes updates a row that another one might want
(docs/decisions/counters.md). Rows add up, so to read them is to sum them, and to fold them changes no sum.
"""

from collections.abc import Collection

from django.db import connection, transaction
from django.db.models import Sum

from inventory.counters.checking import Difference
from renewal.models import Campaign, TargetCount, TargetState

# The bytes of "targets", as PostgreSQL's advisory locks have numbers for names.
_LOCK = int.from_bytes(b"targets")
# Who comes second waits for the rows that the first one takes, and finds them gone.
_FOLD = """
    WITH many AS (
        SELECT campaign_id, state FROM renewal_targetcount GROUP BY 1, 2 HAVING count(*) > 1 OR sum(number) = 0
    ), taken AS (
        DELETE FROM renewal_targetcount counted USING many
        WHERE (counted.campaign_id, counted.state) = (many.campaign_id, many.state)
        RETURNING counted.campaign_id, counted.state, counted.number
    )
    INSERT INTO renewal_targetcount (campaign_id, state, number)
    SELECT campaign_id, state, sum(number) FROM taken GROUP BY 1, 2 HAVING sum(number) <> 0"""
# One statement is one snapshot: nothing is between a target and its count.
_DIFFERENCES = """
    SELECT campaign_id, state, sum(counted) AS counted, sum(there) AS there
    FROM (
        SELECT campaign_id, state, number AS counted, 0 AS there FROM renewal_targetcount
        UNION ALL
        SELECT campaign_id, state, 0, count(*) FROM renewal_target GROUP BY 1, 2
    ) numbers
    GROUP BY 1, 2 HAVING sum(counted) <> sum(there)"""
_REPAIR = f"""
    INSERT INTO renewal_targetcount (campaign_id, state, number)
    SELECT campaign_id, state, there - counted FROM ({_DIFFERENCES}) differences"""  # noqa: S608 - of constants


def by_state(campaigns: Collection[Campaign]) -> dict[int, dict[TargetState, int]]:
    """Return how many targets each campaign has in each state, by its id. One query, whatever the number of targets."""
    found = {campaign.pk: dict.fromkeys(TargetState, 0) for campaign in campaigns}
    summed = TargetCount.objects.filter(campaign_id__in=found).values_list("campaign_id", "state")
    for pk, state, number in summed.annotate(total=Sum("number")).order_by():
        found[pk][TargetState(state)] = number
    return found


def total(campaign: Campaign) -> int:
    """Return how many targets a campaign has. One query, whatever their number."""
    return sum(by_state([campaign])[campaign.pk].values())


def fold() -> None:
    """Make one row of those that count the same. One statement, which reads a few rows a campaign."""
    with connection.cursor() as cursor:
        cursor.execute(_FOLD)


def differences() -> list[Difference]:
    """Compare every count with the targets; return the wrong ones. Reads an index of all targets."""
    with connection.cursor() as cursor:
        cursor.execute(f"{_DIFFERENCES} ORDER BY 1, 2")
        return [
            Difference(f"{state} targets of campaign {campaign}", int(counted), int(there))
            for campaign, state, counted, there in cursor
        ]


def repair() -> None:
    """Add to every wrong count what it lacks. No writer waits: what they write meanwhile is theirs to add."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Before the statement below takes its snapshot: of two who repair, the second finds nothing lacking.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        cursor.execute(_REPAIR)
