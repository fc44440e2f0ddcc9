"""Failures by cause: each number leads to exactly its targets; the share left to people is held against 1 in 1,000."""

from datetime import timedelta

import pytest

from inventory.audit.record import SYSTEM, event, record
from inventory.models import AuditAction
from renewal.board import failures
from renewal.board.failures import GivenUp, LeftToPeople, Refused
from renewal.campaigns import planning
from renewal.field import opening
from renewal.models import TargetReason, TargetState
from tests.factories import DAY, NOW, device
from tests.renewal.field.rows import silent_campaign
from tests.renewal.rows import meters, running_campaign

HOUR = timedelta(hours=1)
pytestmark = pytest.mark.django_db


def refuse(device_, code: str, at=NOW + HOUR) -> None:
    action = AuditAction.RENEWAL_REFUSED
    record([event(action, now=at, actor=SYSTEM, object_name="x", device=device_, details={"reason": code})])


def test_refusals_are_counted_by_code_once_a_target_and_since_the_start():
    one, other, third = meters(3)
    refuse(third.device, "key_type", NOW - HOUR)
    campaign = running_campaign()
    for device_ in (one.device, one.device, other.device):
        refuse(device_, "window_not_open")
    refuse(other.device, "key_type")
    refuse(device("of-no-campaign"), "key_type")
    assert failures.refused(campaign) == [Refused("window_not_open", 2), Refused("key_type", 1)]
    for each in failures.refused(campaign):
        assert failures.targets_refused(campaign, each.code).count() == each.targets


def test_what_is_refused_after_the_end_is_no_failure_of_the_campaign():
    [one] = meters(1)
    campaign = running_campaign()
    planning.stop(campaign, now=NOW + HOUR, actor=SYSTEM)
    campaign.refresh_from_db()
    refuse(one.device, "key_type", NOW + 2 * HOUR)
    assert failures.refused(campaign) == []


def test_those_given_up_are_counted_by_state_and_reason():
    meters(3)
    campaign = running_campaign()
    first, second, _third = campaign.targets.order_by("pk")
    gone = {"next_step_at": None, "channel": ""}
    campaign.targets.filter(pk=first.pk).update(state="failed", reason="expired", **gone)
    campaign.targets.filter(pk=second.pk).update(state="escalated", reason="no_answer", **gone)
    assert set(failures.given_up(campaign)) == {
        GivenUp(TargetState.FAILED, TargetReason.EXPIRED, 1),
        GivenUp(TargetState.ESCALATED, TargetReason.NO_ANSWER, 1),
    }


def test_every_target_that_became_a_work_order_was_left_to_people():
    meters(2)
    campaign = silent_campaign()
    opening.open_due(NOW, 60 * DAY, 30 * DAY)
    assert failures.left_to_people(campaign, 2) == LeftToPeople(2, 2)


@pytest.mark.parametrize(
    ("orders", "targets", "holds"), [(0, 0, True), (0, 10, True), (1, 1000, False), (1, 1001, True)]
)
def test_the_yardstick_is_fewer_than_one_in_a_thousand(orders, targets, holds):
    assert LeftToPeople(orders, targets).holds is holds
