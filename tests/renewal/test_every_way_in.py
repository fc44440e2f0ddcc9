"""What no way in may do. A path that misses one check is how certificates left other portals after a revocation."""

import pytest
from django.conf import settings
from django.utils import timezone

from inventory.audit.record import SYSTEM
from inventory.devices.cases import close_case, open_case
from inventory.models import AuditEvent, Case, Certificate, Device, DeviceStatus, RevocationReason
from inventory.models.case import Verdict
from revocation import orders
from tests.factories import investigator
from tests.renewal.ways_in import WAYS_IN, Ask, Party, WayIn

pytestmark = pytest.mark.django_db
# Who asks for virtual meters, in a database that is dropped afterwards.
SIMULATED = {"renewal.simulation.fleet.firmware"}


@pytest.fixture(params=WAYS_IN.values(), ids=list(WAYS_IN))
def way(request) -> WayIn:
    return request.param


@pytest.fixture
def meter(db, way) -> Party:
    return way.party(timezone.now())


def revoke(certificate: Certificate) -> None:
    order = orders.Order(RevocationReason.KEY_COMPROMISE, SYSTEM)
    assert isinstance(orders.revoke(certificate, order, timezone.now()), orders.Revoked)


def opened_case(meter: Party) -> Case:
    ann = investigator("ann")
    case = open_case(meter.device, finding="Found.", proposal=Verdict.CLEARED, now=timezone.now(), actor=ann)
    assert isinstance(case, Case)
    return case


def clear(case: Case) -> None:
    close_case(case.pk, agrees=True, note="", now=timezone.now(), actor=investigator("bob"))


def issued(meter: Party) -> int:
    return Certificate.objects.filter(device=meter.device).count()


def refused(way: WayIn, ask: Ask, meter: Party) -> str:
    before = issued(meter)
    assert not ask()
    assert issued(meter) == before
    event = AuditEvent.objects.get(action=way.refusal)
    assert event.device_id == meter.device.pk
    return event.details["reason"]


def test_every_module_that_asks_gate_and_door_is_a_way_in():
    asking = set()
    for package in ("renewal", "certportal", "inventory", "revocation"):
        for file in sorted((settings.BASE_DIR / package).rglob("*.py")):
            imports = (line for line in file.read_text().splitlines() if "import" in line)
            if any(" renewal.together " in line or "enrolling" in line for line in imports):
                asking.add(".".join(file.relative_to(settings.BASE_DIR).with_suffix("").parts))
    assert asking - SIMULATED - {"renewal.together"} == {way.module for way in WAYS_IN.values()}


def test_each_way_in_lets_a_device_in_good_order_in(way, meter):
    assert way.prepare(meter)()
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
    # The device is cleared, not the key: the revoked certificate opens nothing.
    assert ask() == way.without_certificate


def test_a_device_whose_newer_certificate_was_revoked_gets_none_by_its_older_until_it_is_cleared(way, meter):
    assert WAYS_IN["simplereenroll"].prepare(meter)()
    ask = way.prepare(meter)
    revoke(Certificate.objects.get(device=meter.device, predecessor=meter.certificate))
    case = opened_case(meter)
    assert refused(way, ask, meter) == "device_revoked"
    clear(case)
    assert ask()


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
    assert ask()
    for certificate in Certificate.objects.filter(device=meter.device).order_by("pk"):
        revoke(certificate)
    assert refused(way, ask, meter) in ("certificate_revoked", "device_revoked")
