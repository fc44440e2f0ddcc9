"""An alert ends within seconds of what ends it, not with the next sweep; and a renewal pays nothing for it."""

from datetime import timedelta

import pytest
from django.db import connection, transaction

from inventory.alerts.settling import settle
from inventory.alerts.sweep import sweep
from inventory.audit import record
from inventory.audit.changes import changed
from inventory.audit.record import SYSTEM
from inventory.models import Alert, Certificate, Device, RevocationReason
from revocation.orders import Order, revoke
from tests import factories
from tests.factories import DAY, NOW
from tests.inventory.alerts.test_sweep import renew

SECONDS = timedelta(seconds=1)


@pytest.fixture
def warned(intermittent):
    """Two devices of which somebody was warned."""
    made = [
        factories.enrolled(factories.device(connectivity="intermittent"), expires_in=ends * DAY) for ends in (50, 20)
    ]
    sweep(NOW)
    return made


def ended() -> dict[int, str]:
    """By the device of each alert that ended and was not taken over by a nearer threshold, why."""
    rows = Alert.objects.filter(resolved_at__isnull=False).exclude(resolution="tightened")
    return dict(rows.values_list("certificate__device_id", "resolution"))


def test_after_a_renewal_its_alert_ends_at_once_and_no_other(warned, django_assert_num_queries):
    first, _second = warned
    renew(first, NOW + 5 * SECONDS, used=False)
    with django_assert_num_queries(1):
        assert settle(NOW + 10 * SECONDS) == 1
    assert ended() == {first.device.pk: "renewed"}
    assert Alert.objects.get(certificate=first.certificate, threshold=60).resolved_at == NOW + 10 * SECONDS
    assert settle(NOW + 20 * SECONDS) == 0


def test_so_it_does_after_a_revocation_and_when_the_device_goes_out_of_service(warned):
    first, second = warned
    revoke(first.certificate, Order(RevocationReason.KEY_COMPROMISE, SYSTEM), NOW + SECONDS)
    Device.objects.filter(pk=second.device.pk).update(status="suspended")
    told = changed(second.device, {"status": ["in_service", "suspended"]}, actor=SYSTEM, now=NOW + SECONDS)
    record.record([told])
    assert settle(NOW + 10 * SECONDS) == 2
    assert ended() == {first.device.pk: "revoked", second.device.pk: "out_of_service"}


def test_news_that_ends_nothing_ends_nothing(warned):
    record.record([changed(warned[0].device, {"site": ["A", "B"]}, actor=SYSTEM, now=NOW)])
    assert settle(NOW + SECONDS) == 0 and ended() == {}


def test_what_is_older_than_a_minute_is_left_to_the_sweep(warned):
    renew(warned[0], NOW + SECONDS)
    assert settle(NOW + timedelta(minutes=2)) == 0
    sweep(NOW + timedelta(minutes=30))
    assert ended() == {warned[0].device.pk: "renewed"}


def test_an_alert_whose_renewal_was_revoked_fires_again_with_the_sweep(warned):
    newer = renew(warned[0], NOW + SECONDS, used=False)
    settle(NOW + 2 * SECONDS)
    Certificate.objects.filter(pk=newer.pk).update(
        state="revoked", revoked_at=NOW + 3 * SECONDS, revocation_reason="keyCompromise"
    )
    sweep(NOW + 4 * SECONDS)
    assert ended() == {}


@pytest.mark.django_db(transaction=True)
def test_a_row_that_somebody_else_writes_is_not_waited_for(make_policy):
    make_policy()
    made = factories.enrolled(factories.device(connectivity="intermittent"), expires_in=20 * DAY)
    sweep(NOW)
    renew(made, NOW + SECONDS)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT FROM inventory_alert FOR UPDATE")
            with transaction.atomic():
                assert settle(NOW + 2 * SECONDS) == 0
            cursor.execute("ROLLBACK")
    finally:
        other.close()
    assert settle(NOW + 3 * SECONDS) == 1
