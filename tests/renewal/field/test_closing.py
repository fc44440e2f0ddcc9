"""Orders close by themselves when the device has renewed, by hand only with an outcome, and each once."""

from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.audit.record import SYSTEM
from inventory.models import AuditAction, AuditEvent, Device, DeviceStatus
from renewal.field import closing
from renewal.field.closing import Closed, Finding
from renewal.field.refused import Refused
from renewal.models import DeviceNote, Outcome, WorkOrder
from renewal.models.work_order import BY_HAND
from tests.factories import NOW, device, person
from tests.parallel import at_once
from tests.renewal.field.rows import look, opened, renew

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def said(order: WorkOrder, outcome: Outcome, **more: object) -> WorkOrder | Refused:
    return closing.close(order.pk, Finding(outcome, **more), now=NOW, actor=person("ali"))


def events() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=AuditAction.WORK_ORDER_CLOSED))


def test_an_order_closes_by_itself_with_the_first_use_of_the_new_certificate():
    [meter], [order] = opened()
    issued = renew(meter, used=False)
    look()
    assert closing.close_renewed(NOW) == Closed()
    renew(meter)
    assert closing.close_renewed(NOW + HOUR) == Closed(renewed=1)
    order.refresh_from_db()
    assert (order.outcome, order.closed_at, order.closed_by) == (Outcome.RENEWED, NOW + HOUR, "")
    [event] = events()
    assert (event.actor_kind, event.details["outcome"]) == ("system", "renewed")
    assert issued.device_id == order.device_id


def test_an_order_of_a_device_out_of_service_closes_as_no_longer_needed():
    [meter], _orders = opened()
    Device.objects.filter(pk=meter.device.pk).update(status=DeviceStatus.SUSPENDED)
    look()
    assert closing.close_renewed(NOW) == Closed(withdrawn=1)


def test_looking_for_finished_orders_costs_the_same_for_any_number(django_assert_num_queries):
    made, _orders = opened(4)
    for meter in made:
        renew(meter)
    with django_assert_num_queries(5):
        assert closing.close_renewed(NOW) == Closed(renewed=4)


@pytest.mark.django_db(transaction=True)
def test_two_callers_close_each_order_once():
    made, _orders = opened(6)
    for meter in made:
        renew(meter)
    done = at_once([lambda: closing.close_renewed(NOW)] * 3)
    assert sum(each.renewed for each in done) == 6 == len(events())


@pytest.mark.parametrize("outcome", BY_HAND)
def test_every_outcome_is_in_the_log_with_who_said_it(outcome):
    _meters, [order] = opened()
    new = "NEW-1" if outcome == Outcome.REPLACED else ""
    closed = said(order, outcome, note="behind the school", replaced_by=new)
    assert isinstance(closed, WorkOrder)
    assert (closed.outcome, closed.closed_by, closed.closed_at) == (outcome, "ali", NOW)
    [event] = events()
    assert (event.actor, event.device_id, event.details["outcome"]) == ("ali", order.device_id, outcome.value)
    assert event.details["note"] == "behind the school"


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.DECOMMISSIONED, DeviceStatus.RETIRED),
        (Outcome.REPLACED, DeviceStatus.RETIRED),
        (Outcome.DEAD_ZONE, DeviceStatus.IN_SERVICE),
        (Outcome.RENEWED_ON_SITE, DeviceStatus.IN_SERVICE),
    ],
)
def test_what_is_gone_is_retired_and_what_stands_there_is_not(outcome, status):
    _meters, [order] = opened()
    said(order, outcome, replaced_by="NEW-1" if outcome == Outcome.REPLACED else "")
    assert Device.objects.get(pk=order.device_id).status == status


def test_a_dead_zone_is_noted_until_somebody_renews_the_device_there():
    _meters, orders = opened(2)
    said(orders[0], Outcome.DEAD_ZONE)
    assert list(DeviceNote.objects.in_dead_zones().values_list("device", flat=True)) == [orders[0].device_id]
    DeviceNote.objects.create(device=orders[1].device, dead_zone_since=NOW - HOUR)
    said(orders[1], Outcome.RENEWED_ON_SITE)
    assert list(DeviceNote.objects.in_dead_zones().values_list("device", flat=True)) == [orders[0].device_id]


def test_the_device_tells_which_one_replaced_it():
    _meters, [order] = opened()
    said(order, Outcome.REPLACED, replaced_by="NEW-1")
    assert DeviceNote.objects.get(device=order.device).replaced_by == "NEW-1"


@pytest.mark.parametrize(
    ("outcome", "more", "field"),
    [
        (Outcome.RENEWED, {}, "outcome"),
        (Outcome.WITHDRAWN, {}, "outcome"),
        (Outcome.REPLACED, {}, "replaced_by"),
        (Outcome.REPLACED, {"replaced_by": "two words"}, "replaced_by"),
        (Outcome.REPLACED, {"replaced_by": "OLD"}, "replaced_by"),
        (Outcome.DEAD_ZONE, {"replaced_by": "NEW-1"}, "replaced_by"),
        (Outcome.DEAD_ZONE, {"note": "x" * 501}, "note"),
    ],
)
def test_what_does_not_fit_closes_nothing(outcome, more, field):
    _meters, [order] = opened()
    Device.objects.filter(pk=order.device_id).update(serial="OLD")
    refusal = said(order, outcome, **more)
    assert isinstance(refusal, Refused) and refusal.field == field
    order.refresh_from_db()
    assert order.closed_at is None and events() == []


def test_an_order_said_twice_under_one_key_closes_once():
    _meters, [order] = opened()
    key = uuid4()
    first, again = (said(order, Outcome.DECOMMISSIONED, key=key) for _ in range(2))
    assert isinstance(first, WorkOrder) and isinstance(again, WorkOrder)
    assert again.closed_at == first.closed_at and len(events()) == 1


def test_a_second_outcome_changes_nothing_and_is_told_who_was_first():
    _meters, [order] = opened()
    said(order, Outcome.DEAD_ZONE, key=uuid4())
    refusal = said(order, Outcome.DECOMMISSIONED, key=uuid4())
    assert isinstance(refusal, Refused) and "dead zone, by ali" in str(refusal.text)
    assert Device.objects.get(pk=order.device_id).status == DeviceStatus.IN_SERVICE


@pytest.mark.django_db(transaction=True)
def test_a_phone_that_sends_at_the_same_moment_as_another_closes_once():
    _meters, [order] = opened()
    person("ali")
    key = uuid4()
    done = at_once([lambda: said(order, Outcome.DECOMMISSIONED, key=key)] * 3)
    assert all(isinstance(each, WorkOrder) for each in done) and len(events()) == 1


def test_a_device_that_renews_after_all_shows_it_beside_what_somebody_said():
    [meter], [order] = opened()
    said(order, Outcome.DEAD_ZONE)
    renew(meter, now=NOW + HOUR)
    closing.close_renewed(NOW + 2 * HOUR)
    found = WorkOrder.objects.with_renewal().get(pk=order.pk)
    assert (found.outcome, found.renewed_at) == (Outcome.DEAD_ZONE, NOW + HOUR)


def test_a_certificate_fetched_and_not_used_is_told_apart():
    [meter], [order] = opened()
    renew(meter, used=False)
    found = WorkOrder.objects.with_renewal().get(pk=order.pk)
    assert (found.fetched_at, found.renewed_at) == (NOW, None)


def test_an_unregistered_successor_is_kept_as_it_was_read():
    _meters, [order] = opened()
    assert not Device.objects.filter(serial="NEW-1").exists()
    said(order, Outcome.REPLACED, replaced_by="NEW-1")
    assert WorkOrder.objects.get(pk=order.pk).replaced_by == "NEW-1"


@given(st.text(max_size=80))
def test_any_text_as_a_serial_number_is_taken_or_refused(text):
    found = closing._why_not(device_called("OLD"), Finding(Outcome.REPLACED, replaced_by=text))
    assert found is None or found.field == "replaced_by"


def device_called(serial: str) -> Device:
    return Device(serial=serial)


def test_the_actor_may_be_the_portal_itself():
    _meters, [order] = opened()
    assert isinstance(closing.close(order.pk, Finding(Outcome.DEAD_ZONE), now=NOW, actor=SYSTEM), WorkOrder)
    assert device().status == DeviceStatus.IN_SERVICE
