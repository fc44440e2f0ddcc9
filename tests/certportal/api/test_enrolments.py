"""Certificates over the API: a service account speaks for its devices, one or ten thousand at a time."""

import base64
import ssl
from functools import partial

import pytest
from cryptography import x509
from django.utils import timezone

from certportal.models import KeptAnswer
from inventory.models import (
    AuditAction,
    AuditEvent,
    Certificate,
    CertificateState,
    Device,
    DeviceStatus,
)
from renewal.api import enrolments
from tests.factories import DAY, Enrolled, authority, common_name, csr_der, device, enrolled, fleet, key, profile

ENROLMENTS = "/api/v1/enrolments/"
pytestmark = pytest.mark.django_db


def pem(der: bytes) -> str:
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n"


def request_for(device_: Device, own_key=None, subject: str = "") -> dict[str, str]:
    return {
        "fleet": device_.fleet.slug,
        "device": device_.serial,
        "csr": pem(csr_der(own_key or key(), subject)),
    }


@pytest.fixture
def ask(speaking):
    return partial(speaking, ENROLMENTS)


def meter(**how) -> Enrolled:
    return enrolled(now=timezone.now(), **how)


def test_a_device_that_has_none_gets_its_first_certificate_with_the_chain(ask):
    new, own = device(), key()
    answer = ask(request_for(new, own))
    assert answer.status_code == 201, answer.content
    said = answer.json()
    certificate = Certificate.objects.get(device=new)
    assert (said["outcome"], said["id"], said["serial"]) == ("issued", certificate.pk, certificate.serial)
    assert ssl.PEM_cert_to_DER_cert(said["pem"]) == bytes(certificate.der)
    assert certificate.x509.public_key() == own.public_key()
    assert certificate.x509.subject == common_name(new.serial)
    chain = x509.load_pem_x509_certificates(said["chain"].encode())
    assert chain == [authority().x509, authority().parent.x509]
    event = AuditEvent.objects.get(action=AuditAction.CERTIFICATE_ENROLLED)
    assert (event.actor, event.device) == ("backend", new)


def test_the_same_request_again_is_answered_by_the_same_certificate(ask):
    body = request_for(device())
    first, again = ask(body), ask(body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {**first.json(), "outcome": "known"}
    assert Certificate.objects.filter(device__serial=body["device"]).count() == 1


def test_a_key_of_idempotency_stands_for_one_request_and_keeps_no_certificate(ask):
    body = request_for(device())
    headers = {"Idempotency-Key": "line-7"}
    assert ask(body, **headers).status_code == 201
    assert ask(body, **headers).json()["outcome"] == "known"
    assert ask(request_for(device()), **headers).json()["error"]["code"] == "idempotency_key_reused"
    assert KeptAnswer.objects.get().body == {}


def test_what_a_device_uses_is_renewed_in_its_window_and_its_first_use_supersedes_it(ask):
    old = meter()
    answer = ask(request_for(old.device))
    assert answer.status_code == 201
    new = Certificate.objects.get(pk=answer.json()["id"])
    old.certificate.refresh_from_db()
    assert new.predecessor == old.certificate
    # Who speaks for a device has not seen it at work.
    assert (old.certificate.state, new.state) == (CertificateState.CONFIRMED, CertificateState.ISSUED)
    assert AuditEvent.objects.filter(action=AuditAction.CERTIFICATE_RENEWED).count() == 1


def test_too_early_says_when(ask):
    answer = ask(request_for(meter(expires_in=200 * DAY).device))
    assert answer.status_code == 403
    error = answer.json()["error"]
    assert (error["code"], "opens" in error["details"]) == ("window_not_open", True)
    assert "Renewal opens on" in error["message"]


def test_a_certificate_that_never_came_into_use_holds_nothing_up_but_too_many_do(ask):
    new = device()
    profile(max_unconfirmed=3)
    for _ in range(3):
        assert ask(request_for(new)).status_code == 201
    refused = ask(request_for(new))
    assert refused.json()["error"]["code"] == "too_many_unconfirmed"
    assert Certificate.objects.filter(device=new).count() == 3
    assert not Certificate.objects.filter(device=new, predecessor__isnull=False).exists()


def test_what_was_never_seen_at_work_is_renewed_in_its_window_however_few_may_wait(ask):
    profile(max_unconfirmed=1)
    old = meter(used=False)
    first, second = ask(request_for(old.device)), ask(request_for(old.device))
    assert Certificate.objects.get(pk=first.json()["id"]).predecessor == old.certificate
    assert second.json()["error"]["code"] == "too_many_unconfirmed"


def test_a_row_that_stands_twice_in_a_list_is_issued_once(ask):
    row = request_for(device())
    answer = ask([row, row]).json()
    assert answer["counts"] == {"issued": 1, "known": 1, "refused": 0}
    assert answer["results"][0]["id"] == answer["results"][1]["id"]


def test_an_expired_device_is_enrolled_anew_since_its_channel_vouches_for_it(ask):
    old = meter(expires_in=-DAY)
    answer = ask(request_for(old.device))
    assert answer.status_code == 201
    assert Certificate.objects.get(pk=answer.json()["id"]).predecessor is None


@pytest.mark.parametrize("allowed", [True, False])
def test_the_same_key_is_renewed_where_the_profile_allows_it(ask, allowed):
    profile(allow_same_key=allowed)
    old = meter()
    answer = ask(request_for(old.device, old.private_key))
    assert answer.json()["outcome"] == ("issued" if allowed else "known")
    assert Certificate.objects.filter(device=old.device).count() == (2 if allowed else 1)


@pytest.mark.parametrize(
    ("what", "status", "code"),
    [
        ("another device's name", 403, "name_mismatch"),
        ("another device's key", 403, "key_of_another_device"),
        ("suspended", 403, "device_not_in_service"),
        ("not registered", 404, "unknown_device"),
        ("of another fleet", 404, "unknown_device"),
        ("a key type", 403, "key_type"),
    ],
)
def test_what_is_refused_has_a_code_a_sentence_and_an_entry_in_the_log(ask, what, status, code):
    other = meter()
    new = device()
    body = request_for(new)
    fleets = None
    match what:
        case "another device's name":
            body = request_for(new, subject=other.device.serial)
        case "another device's key":
            body = request_for(new, other.private_key)
        case "suspended":
            Device.objects.filter(pk=new.pk).update(status=DeviceStatus.SUSPENDED)
        case "not registered":
            body["device"] = "NOBODY"
        case "of another fleet":
            fleets = [fleet("elsewhere")]
        case "a key type":
            profile(key_types=["ec-p384"])
    answer = ask(body, fleets=fleets)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert not Certificate.objects.filter(device=new).exists()
    event = AuditEvent.objects.get(action=AuditAction.ENROLMENT_REFUSED)
    assert (event.details["reason"], event.actor) == (code, "backend")


def test_an_account_speaks_for_the_devices_of_its_fleets_alone(ask):
    own, others = device(fleet=fleet("own")), device(fleet=fleet("others"))
    answer = ask([request_for(own), request_for(others)], fleets=[own.fleet]).json()
    assert [each["outcome"] for each in answer["results"]] == ["issued", "refused"]
    assert answer["results"][1]["code"] == "unknown_device"


def test_each_of_many_has_its_result_and_none_keeps_another_back(ask, monkeypatch):
    monkeypatch.setattr(enrolments, "_IN_A_TRANSACTION", 4)
    devices = [device() for _ in range(9)]
    rows: list[object] = [request_for(each) for each in devices]
    rows[2] = {**request_for(devices[2]), "csr": "junk"}
    rows[4] = "no object"
    rows[6] = {**request_for(devices[6]), "more": 1}
    rows[8] = request_for(Device(fleet=fleet(), serial="NOBODY"))
    answer = ask(rows).json()
    assert answer["counts"] == {"issued": 5, "known": 0, "refused": 4}
    refused = {place: each["code"] for place, each in enumerate(answer["results"]) if each["outcome"] == "refused"}
    assert refused == {2: "malformed", 4: "malformed", 6: "malformed", 8: "unknown_device"}
    assert list(answer["chains"]) == ["mfg-1"]
    # The line was cut off, and sends all of it again.
    again = ask(rows).json()
    assert again["counts"] == {"issued": 0, "known": 5, "refused": 4}
    assert [each.get("pem") for each in again["results"]] == [each.get("pem") for each in answer["results"]]


def test_a_line_of_wrong_rows_hears_the_reason_of_each_and_leaves_few_entries(ask):
    fleet()
    rows = [{"fleet": "demo", "device": f"NO-{number}", "csr": pem(csr_der(key()))} for number in range(150)]
    answer = ask(rows).json()
    assert {each["code"] for each in answer["results"]} == {"unknown_device"}
    assert AuditEvent.objects.filter(action=AuditAction.ENROLMENT_REFUSED).count() <= 120


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "fleet"), ({"fleet": "demo", "device": "D", "csr": ""}, "csr"), ({"fleet": 1}, "fleet"),
        ({"fleet": "demo", "device": "D\0", "csr": "x"}, "device"), ({"fleet": "demo", "x": 1}, "x"),
        ({"fleet": "demo", "device": "D", "csr": "-----BEGIN CERTIFICATE-----"}, "csr"),
        ({"fleet": "demo", "device": "D", "csr": "AAAA"}, "csr"), ([], "non_field_errors"),
        ('"text"', "non_field_errors"), ("7", "non_field_errors"),
    ],
)  # fmt: skip
def test_a_body_that_is_no_request_names_the_field(ask, body, field):
    fleet()
    answer = ask(body)
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["error"]["details"]


def test_a_request_may_be_base64_of_der_and_an_older_armour(ask):
    encoded = base64.b64encode(csr_der(key())).decode()
    older = pem(csr_der(key())).replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
    for text in (encoded, older, f"some words\n{pem(csr_der(key()))}more words"):
        body = {**request_for(device()), "csr": text}
        assert ask(body).status_code == 201


def test_a_list_costs_as_many_queries_as_its_transactions(ask, django_assert_max_num_queries):
    devices = [device() for _ in range(30)]
    rows = [request_for(each) for each in devices]
    ask(rows[:1])
    with django_assert_max_num_queries(26):
        assert ask(rows[1:]).json()["counts"]["issued"] == 29
