"""Counts of targets: whatever is done to targets, by whoever, they say what is there."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from renewal import target_counts
from renewal.models import Campaign, Target, TargetCount, TargetState
from renewal.models.campaign import CampaignState
from tests.factories import NOW, device, enrolled
from tests.parallel import beside, until_blocked
from tests.renewal.rows import running_campaign

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def campaign() -> Campaign:
    for name in ("A", "B", "C"):
        enrolled(device(name))
    return running_campaign()


def counted(campaign: Campaign) -> dict[TargetState, int]:
    return {state: number for state, number in target_counts.by_state([campaign])[campaign.pk].items() if number}


def escalate(campaign: Campaign, most: int) -> None:
    chosen = campaign.targets.filter(state=TargetState.PLANNED).order_by("pk")[:most]
    Target.objects.filter(pk__in=chosen).update(state=TargetState.ESCALATED, escalated_at=NOW, next_step_at=None)


def test_planned_targets_are_counted(campaign):
    assert counted(campaign) == {TargetState.PLANNED: 3}
    assert target_counts.total(campaign) == 3


def test_a_campaign_of_nobody_counts_nothing(campaign):
    empty = Campaign.objects.get(pk=campaign.pk)
    empty.pk, empty.name, empty.state = None, "Empty", CampaignState.PLANNED
    empty.save()
    assert counted(empty) == {}


def test_a_move_is_counted_once_however_often_it_is_folded(campaign):
    escalate(campaign, 2)
    for _ in range(2):
        assert counted(campaign) == {TargetState.PLANNED: 1, TargetState.ESCALATED: 2}
        target_counts.fold()
    assert TargetCount.objects.count() == 2


def test_what_changes_no_state_writes_no_count(campaign):
    before = TargetCount.objects.count()
    campaign.targets.update(attempts_made=1)
    assert TargetCount.objects.count() == before


def test_nothing_is_left_of_a_campaign_that_is_deleted(campaign):
    campaign.delete()
    target_counts.fold()
    assert not TargetCount.objects.exists()


def test_nothing_is_counted_of_truncated_targets(campaign):
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE renewal_target CASCADE")
    assert not TargetCount.objects.exists()


def test_what_is_rolled_back_was_never_counted(campaign):
    with transaction.atomic():
        escalate(campaign, 1)
        transaction.set_rollback(True)
    assert counted(campaign) == {TargetState.PLANNED: 3}


def test_two_who_fold_and_one_who_moves_lose_nothing(campaign):
    escalate(campaign, 1)
    with ThreadPoolExecutor(2) as threads:
        with transaction.atomic():
            target_counts.fold()
            escalate(campaign, 1)
            second = beside(threads, target_counts.fold)
        second.result()
    target_counts.fold()
    assert counted(campaign) == {TargetState.PLANNED: 1, TargetState.ESCALATED: 2}
    assert target_counts.differences() == []


def test_a_wrong_count_is_named_and_put_right(campaign):
    TargetCount.objects.update(number=7)
    [wrong] = target_counts.differences()
    assert str(wrong) == f"planned targets of campaign {campaign.pk}: counted 7, there are 3"
    target_counts.repair()
    assert target_counts.differences() == []
    assert counted(campaign) == {TargetState.PLANNED: 3}


def test_two_who_repair_at_once_add_what_lacks_once(campaign):
    TargetCount.objects.update(number=1)
    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            target_counts.repair()
            second = beside(threads, target_counts.repair)
            until_blocked()
        second.result()
    assert target_counts.differences() == []


def test_any_number_of_campaigns_is_counted_by_one_query(campaign, django_assert_num_queries):
    with django_assert_num_queries(1):
        target_counts.by_state([campaign, Campaign(pk=campaign.pk + 1)])
