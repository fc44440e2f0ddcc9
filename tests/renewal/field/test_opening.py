"""The list holds exactly the targets whose devices answered on no channel and end soon."""

from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from inventory.audit.record import SYSTEM
from inventory.devices import timeline
from inventory.models import AuditAction, AuditEvent, Device, DeviceStatus
from renewal import story
from renewal.campaigns import planning
from renewal.field import closing, opening
from renewal.models import DeviceNote, Healing, Outcome, Target, TargetState, WorkOrder
from tests import factories
from tests.factories import DAY, NOW
from tests.parallel import at_once
from tests.renewal.field.rows import LEAD, SPAN, look, meters, opened, renew, silent_campaign
from tests.renewal.rows import over_mqtt

# Written from the rule, not from the code: read from the facts of devices. Over the one channel of the ladder in these
# tests a wait was in vain once a second message has left.
_EXPECTED = """
    SELECT d.id FROM inventory_device d JOIN renewal_target t ON t.device_id = d.id
    JOIN renewal_campaign p ON p.id = t.campaign_id JOIN inventory_certificate c ON c.id = t.certificate_id
    WHERE p.state = 'running' AND d.status = 'in_service' AND c.state <> 'revoked'
      AND c.not_after - %s::interval <= %s
      AND (t.state IN ('escalated', 'failed') OR (SELECT count(*) FROM renewal_attempt a WHERE a.target_id = t.id) > 1)
      AND NOT EXISTS (SELECT FROM inventory_certificate n WHERE n.device_id = d.id AND n.issued_at > c.issued_at)"""


def expected() -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(_EXPECTED, [LEAD, NOW])
        return {pk for (pk,) in cursor.fetchall()}


def listed() -> set[int]:
    return set(WorkOrder.objects.open().values_list("device_id", flat=True))


class RandomHistories(TestCase):
    @settings(max_examples=12)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([-1, 20, 59, 61, 80]),
                st.sampled_from(["silent", "triggered", "asked", "escalated", "failed", "fetched", "used", "retired"]),
            ),
            min_size=1,
            max_size=6,
        ),
        st.booleans(),
        st.booleans(),
    )
    def test_the_list_is_what_an_independent_query_finds(self, histories, paused, runs_before):
        made = [(meters(1, expires_in=max(days, 1) * DAY)[0], days, what) for days, what in histories]
        campaign = planning.plan(
            planning.Plan(
                "Spring", planning.Selection(factories.fleet(), NOW, NOW + 100 * DAY), NOW + 50 * DAY, over_mqtt()
            ),
            now=NOW, actor=SYSTEM,
        )  # fmt: skip
        planning.start(campaign, now=NOW, actor=SYSTEM)
        if runs_before:
            opening.open_due(NOW, LEAD, SPAN)
        for meter, _days, what in made:
            target = Target.objects.filter(device=meter.device)
            if what in {"asked", "triggered"}:
                # Once, or again when the first wait was over.
                again = what == "triggered"
                target.update(state="triggered", triggered_at=NOW, attempts_made=1 + again, unanswered=again)
                for number in range(1 + again):
                    target.get().attempts.create(number=number + 1, channel="mqtt", at=NOW, outcome="sent")
            elif what in {"escalated", "failed"}:
                target.update(state=what, triggered_at=NOW, escalated_at=NOW, next_step_at=None, channel="")
            elif what in {"fetched", "used"}:
                renew(meter, now=NOW + timedelta(hours=1), used=what == "used")
            elif what == "retired":
                meter.device.status = DeviceStatus.RETIRED
                meter.device.save()
        look()
        if paused and not runs_before:
            planning.pause(campaign, now=NOW, actor=SYSTEM)
        opening.open_due(NOW, LEAD, SPAN)
        closed = closing.close_renewed(NOW)
        silent = expected()
        # One that fetched a certificate and has not used it was listed before it did, and leaves with the first use.
        unused = {meter.device.pk for meter, _days, what in made if what == "fetched"} if runs_before else set()
        assert listed() - unused == silent
        assert closed.renewed + closed.withdrawn + len(listed()) == WorkOrder.objects.count()


pytestmark = pytest.mark.django_db


def test_an_order_opens_sixty_days_before_the_end_and_not_a_second_earlier():
    meters(1, expires_in=55 * DAY)
    silent_campaign()
    end = Target.objects.get().certificate.not_after
    assert opening.open_due(end - LEAD - timedelta(seconds=1), LEAD, SPAN) == 0
    assert opening.open_due(end - LEAD, LEAD, SPAN) == 1
    order = WorkOrder.objects.get()
    assert (order.due_at, order.opened_at, order.closed_at) == (end, end - LEAD, None)


def test_who_may_come_back_is_left_alone_while_the_team_can_be_there_in_time():
    meters(1, expires_in=55 * DAY)
    silent_campaign()
    opening.open_due(NOW, LEAD, SPAN)
    order = WorkOrder.objects.get()
    assert order.go_from == order.due_at - SPAN > NOW


def test_who_ends_sooner_than_the_team_needs_is_visited_at_once():
    _made, [order] = opened(expires_in=29 * DAY)
    assert order.go_from == NOW


def note_dead_zone() -> None:
    DeviceNote.objects.create(device=Device.objects.get(), dead_zone_since=NOW)


def send_nothing() -> None:
    Target.objects.update(triggered_at=None)


def let_few_come_back() -> None:
    target = Target.objects.select_related("device").get()
    device = target.device
    Healing.objects.create(fleet_id=device.fleet_id, connectivity=device.connectivity, weeks=1, devices=100, healed=4)


@pytest.mark.parametrize("hopeless", [note_dead_zone, send_nothing, let_few_come_back])
def test_who_will_hardly_come_back_is_visited_at_once(hopeless):
    meters(1, expires_in=55 * DAY)
    silent_campaign()
    hopeless()
    opening.open_due(NOW, LEAD, SPAN)
    assert WorkOrder.objects.get().go_from == NOW


def test_opening_again_opens_nothing_and_costs_one_statement(django_assert_num_queries):
    opened(3)
    with django_assert_num_queries(3):  # with the savepoint around it
        assert opening.open_due(NOW, LEAD, SPAN) == 0


@pytest.mark.parametrize("number", [1, 5])
def test_opening_costs_the_same_for_any_number(number, django_assert_num_queries):
    meters(number)
    silent_campaign()
    with django_assert_num_queries(4):
        assert opening.open_due(NOW, LEAD, SPAN) == number


def test_each_opened_order_is_an_event_of_its_device():
    _meters, orders = opened(2)
    events = AuditEvent.objects.filter(action=AuditAction.WORK_ORDER_OPENED)
    assert {(event.device_id, event.details["order"]) for event in events} == {
        (order.device_id, order.pk) for order in orders
    }


def test_an_order_is_told_once_in_the_story_of_its_device():
    [meter], [order] = opened(1)
    closing.close(order.pk, closing.Finding(Outcome.DEAD_ZONE), now=NOW + DAY, actor=SYSTEM)
    told = [*timeline.past(meter.device, []), *story.past(meter.device)]
    titles = Counter(str(moment.title) for moment in told if "work order" in str(moment.title))
    assert [*titles.values()] == [1, 1]


def test_an_order_closed_by_hand_is_not_followed_by_another():
    _made, [order] = opened()
    closing.close(order.pk, closing.Finding(Outcome.DEAD_ZONE), now=NOW, actor=SYSTEM)
    assert opening.open_due(NOW + DAY, LEAD, SPAN) == 0


@pytest.mark.django_db(transaction=True)
def test_two_callers_at_once_open_one_order_a_target():
    meters(20)
    silent_campaign()
    counts = at_once([lambda: opening.open_due(NOW, LEAD, SPAN)] * 4)
    assert sum(counts) == 20 == WorkOrder.objects.count()
    assert AuditEvent.objects.filter(action=AuditAction.WORK_ORDER_OPENED).count() == 20


def test_a_device_that_fetched_a_certificate_is_not_sent_for():
    [meter] = meters(1)
    silent_campaign()
    renew(meter, used=False)
    look()
    assert Target.objects.get().state == TargetState.ISSUED
    assert opening.open_due(NOW, LEAD, SPAN) == 0
