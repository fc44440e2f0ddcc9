"""One-time secrets over the API: made once, shown once, for who may have them."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from certportal.models import KeptAnswer
from inventory.models import AuditAction, AuditEvent, Certificate, Device, DeviceStatus
from inventory.x509.csr import parse
from renewal.enrolling import admit_many
from renewal.models import EnrolmentProtocol, EnrolmentSecret
from renewal.requests import Enrolment
from renewal.secrets import LIFETIME
from tests.factories import csr_der, device, fleet, key

SECRETS = "/api/v1/enrolment-secrets/"
pytestmark = pytest.mark.django_db


def wanted(device_: Device, protocol: str = "est") -> dict[str, str]:
    return {"fleet": device_.fleet.slug, "device": device_.serial, "protocol": protocol}


@pytest.fixture
def ask(speaking):
    return partial(speaking, SECRETS)


def test_a_secret_is_shown_once_and_gives_a_certificate(ask):
    new = device()
    answer = ask(wanted(new))
    assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")
    said = answer.json()
    assert said["outcome"] == "made"
    kept = EnrolmentSecret.objects.get(device=new)
    assert timedelta(0) <= timezone.now() + LIFETIME - kept.expires_at < timedelta(minutes=5)
    event = AuditEvent.objects.get(action=AuditAction.SECRET_CREATED)
    assert (event.actor, event.device) == ("backend", new)
    [issued] = admit_many(
        [Enrolment(new.serial, said["secret"], parse(csr_der(key())), "demo", EnrolmentProtocol.EST)], timezone.now()
    )
    assert isinstance(issued, Certificate)


def test_asked_again_there_is_another_and_no_answer_is_kept(ask):
    body = wanted(device(), "scep")
    first, again = (ask(body, **{"Idempotency-Key": "k"}).json()["secret"] for _ in range(2))
    assert first != again
    assert KeptAnswer.objects.get().body == {}
    valid = EnrolmentSecret.objects.filter(expires_at__gt=timezone.now())
    assert valid.get().protocol == EnrolmentProtocol.SCEP


def test_each_of_many_has_its_result(ask, django_assert_max_num_queries):
    devices = [device() for _ in range(5)]
    Device.objects.filter(pk=devices[1].pk).update(status=DeviceStatus.SUSPENDED)
    rows: list[object] = [wanted(each) for each in devices]
    rows[2] = wanted(devices[2], "scep")
    rows[3] = {**wanted(devices[3]), "protocol": "telnet"}
    rows += [wanted(Device(fleet=fleet(), serial="NOBODY")), wanted(devices[0])]
    # Five for the secrets of each protocol, five that read devices and hindrances; the others log in.
    with django_assert_max_num_queries(42):
        answer = ask(rows)
    said = answer.json()
    assert (answer["Cache-Control"], said["counts"]) == ("no-store", {"made": 4, "refused": 3})
    outcomes = [each["outcome"] for each in said["results"]]
    assert outcomes == ["made", "refused", "made", "refused", "made", "refused", "made"]
    assert "return it to service" in said["results"][1]["reason"]
    assert list(said["results"][3]["details"]) == ["protocol"]
    assert "There is no device 'NOBODY'" in said["results"][5]["reason"]
    # Named twice, it has one secret.
    assert said["results"][0]["secret"] == said["results"][6]["secret"]
    assert EnrolmentSecret.objects.count() == 3


def test_devices_of_other_fleets_are_not_there(ask):
    others = device(fleet=fleet("others"))
    answer = ask(wanted(others), fleets=[fleet("own")])
    assert answer.status_code == 400
    assert "There is no device" in answer.json()["error"]["details"]["device"][0]
    assert not EnrolmentSecret.objects.exists()
