"""What no way in may do. A path that misses one check is how certificates left other portals after a revocation."""

import pytest
from django.urls import get_resolver
from django.utils import timezone

from inventory.audit.record import SYSTEM
from inventory.devices.cases import close_case, open_case
from inventory.models import AuditEvent, Case, Certificate, Device, DeviceStatus, RevocationReason
from inventory.models.case import Verdict
from revocation import orders
from tests.factories import DAY, Enrolled, enrolled, investigator
from tests.renewal.ways_in import WAYS_IN, WayIn

pytestmark = [pytest.mark.django_db, pytest.mark.urls("certportal.urls.device")]
READING = {"cacerts", "csrattrs"}


@pytest.fixture(params=WAYS_IN.values(), ids=list(WAYS_IN))
def way(request) -> WayIn:
    return request.param


@pytest.fixture
def meter(db) -> Enrolled:
    return enrolled(expires_in=30 * DAY, now=timezone.now())


def revoke(certificate: Certificate) -> None:
    order = orders.Order(RevocationReason.KEY_COMPROMISE, SYSTEM)
    assert isinstance(orders.revoke(certificate, order, timezone.now()), orders.Revoked)


def opened_case(meter: Enrolled) -> Case:
    ann = investigator("ann")
    case = open_case(meter.device, finding="Found.", proposal=Verdict.CLEARED, now=timezone.now(), actor=ann)
    assert isinstance(case, Case)
    return case


def clear(case: Case) -> None:
    close_case(case.pk, agrees=True, note="", now=timezone.now(), actor=investigator("bob"))


def issued(meter: Enrolled) -> int:
    return Certificate.objects.filter(device=meter.device).count()


def refused(way: WayIn, ask, meter: Enrolled) -> str:
    before = issued(meter)
    response = ask()
    assert response.status_code == 403, response.content
    assert issued(meter) == before
    event = AuditEvent.objects.get(action=way.refusal)
    assert event.device_id == meter.device.pk
    return event.details["reason"]


def test_every_address_that_may_issue_is_a_way_in():
    addressed = {
        str(pattern.pattern).rpartition("/")[2] for pattern in get_resolver("certportal.urls.device").url_patterns
    }
    assert addressed - READING == {way.operation for way in WAYS_IN.values()}


def test_each_way_in_lets_a_device_in_good_order_in(way, meter):
    assert way.prepare(meter)().status_code == 200
    assert issued(meter) == 2


def test_a_revocation_closes_every_way_in_the_same_second(way, meter):
    ask = way.prepare(meter)
    revoke(meter.certificate)
    assert refused(way, ask, meter) in ("certificate_revoked", "device_revoked")


def test_a_revoked_device_enrols_again_only_when_a_second_person_has_cleared_it(way, meter):
    ask = way.prepare(meter)
    revoke(meter.certificate)
    case = opened_case(meter)
    assert refused(way, ask, meter) in ("certificate_revoked", "device_revoked")
    clear(case)
    if way is WAYS_IN["simpleenroll by secret"]:
        assert ask().status_code == 200
    else:
        # The device is cleared, not the key: the revoked certificate opens nothing.
        assert ask().status_code == 403


def test_a_device_whose_newer_certificate_was_revoked_gets_none_by_its_older_until_it_is_cleared(way, meter):
    newer = WAYS_IN["simplereenroll"].prepare(meter)()
    assert newer.status_code == 200
    ask = way.prepare(meter)
    revoke(Certificate.objects.get(device=meter.device, predecessor=meter.certificate))
    case = opened_case(meter)
    assert refused(way, ask, meter) == "device_revoked"
    clear(case)
    assert ask().status_code == 200


@pytest.mark.parametrize("status", [DeviceStatus.SUSPENDED, DeviceStatus.RETIRED])
def test_a_device_out_of_service_finds_every_way_closed(way, meter, status):
    ask = way.prepare(meter)
    Device.objects.filter(pk=meter.device.pk).update(status=status)
    assert refused(way, ask, meter) == "device_not_in_service"


def test_a_revoked_authority_issues_nothing_on_any_way(way, meter):
    ask = way.prepare(meter)
    revoke(meter.device.fleet.authority.certificate)
    assert refused(way, ask, meter) == "issuer_revoked"


def test_the_answer_to_a_request_that_was_answered_before_a_revocation_is_not_given_again(way, meter):
    ask = way.prepare(meter)
    assert ask().status_code == 200
    for certificate in Certificate.objects.filter(device=meter.device).order_by("pk"):
        revoke(certificate)
    assert refused(way, ask, meter) in ("certificate_revoked", "device_revoked")
