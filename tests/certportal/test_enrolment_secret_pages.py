"""One-time secrets in the browser: out of the queue of expired devices, for one device or many, shown once."""

import csv
import io
import re

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from certportal import roles
from certportal.models import User
from inventory.audit.record import SYSTEM
from inventory.devices import cases
from inventory.models import AuditAction, AuditEvent, Certificate, Device
from inventory.models.case import Verdict
from renewal import enrolling, secrets
from renewal.models import EnrolmentProtocol, EnrolmentSecret
from tests import factories
from tests.factories import DAY, certification_request, investigator

QUEUE = "admin:inventory_expireddevice_changelist"
MANY = "admin:inventory_expireddevice_secrets"


def of_one(device: Device) -> str:
    return reverse("admin:inventory_device_secret", args=[device.pk])


def expired(serial: str | None = None, **changes: object) -> Device:
    return factories.enrolled(factories.device(serial, **changes), expires_in=-3 * DAY, now=timezone.now()).device


def revoked(serial: str) -> Device:
    device = factories.enrolled(factories.device(serial), expires_in=100 * DAY, now=timezone.now()).device
    Certificate.objects.filter(device=device).update(
        state="revoked", revoked_at=timezone.now(), revocation_reason="keyCompromise"
    )
    return device


def enrols(device: Device, secret: str) -> bool:
    outcome = enrolling.enrol(
        device.serial, secret, certification_request(), label=device.fleet.slug, protocol=EnrolmentProtocol.EST,
        now=timezone.now(), source_address=None,
    )  # fmt: skip
    return isinstance(outcome, Certificate)


def rows_of(answer) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


@pytest.fixture
def operator(db) -> User:
    roles.make_missing()
    user = User.objects.create_user("operator", is_staff=True, all_fleets=True)
    user.groups.add(Group.objects.get(name="operator"))
    return user


def test_the_queue_leads_to_a_secret_that_is_shown_once_and_enrols_the_device(client, operator):
    device = expired("OLD-1")
    client.force_login(operator)
    assert of_one(device) in client.get(reverse(QUEUE)).content.decode()
    asked = client.get(of_one(device)).content.decode()
    assert "gets one certificate" in asked and "30 d" in asked and not EnrolmentSecret.objects.exists()

    made = client.post(of_one(device), {"protocol": "est"})
    text = made.content.decode()
    [secret] = re.findall('<code id="secret">([^<]+)</code>', text)
    assert "no-store" in made.headers["Cache-Control"]
    assert "/.well-known/est/demo/simpleenroll" in text
    assert secret not in client.get(of_one(device)).content.decode()
    assert enrols(device, secret)


def test_who_made_a_secret_is_in_the_audit_log_without_it(client, operator):
    device = expired()
    client.force_login(operator)
    text = client.post(of_one(device), {"protocol": "scep"}).content.decode()
    [secret] = re.findall('<code id="secret">([^<]+)</code>', text)
    event = AuditEvent.objects.get(action=AuditAction.SECRET_CREATED)
    assert (event.actor, event.device_id, event.details) == ("operator", device.pk, {"protocol": "scep"})
    assert secret not in event.object_name


def test_the_page_of_an_expired_device_leads_to_the_secret_and_that_of_a_healthy_one_does_not(client, operator):
    client.force_login(operator)
    healthy = factories.enrolled(expires_in=100 * DAY, now=timezone.now()).device

    def shown(device: Device) -> bool:
        return of_one(device) in client.get(reverse("admin:inventory_device_change", args=[device.pk])).content.decode()

    assert shown(expired()) and shown(factories.device())
    assert not shown(healthy) and not shown(revoked("GONE-1"))


def test_a_cleared_device_is_led_to_its_secret(client, operator):
    device = revoked("FOUND-1")
    opened = cases.open_case(
        device, finding="a false alarm", proposal=Verdict.CLEARED, now=timezone.now(), actor=investigator("one")
    )
    cases.close_case(opened.pk, agrees=True, note="", now=timezone.now(), actor=investigator("two"))
    client.force_login(operator)
    assert of_one(device) in client.get(reverse("admin:inventory_device_change", args=[device.pk])).content.decode()
    assert "gets one certificate" in client.get(of_one(device)).content.decode()


def test_what_stands_in_the_way_is_told_instead_of_a_form(client, operator):
    client.force_login(operator)
    under_a_case, without_one, away = revoked("CASE-1"), revoked("NONE-1"), expired("AWAY-1")
    case = cases.open_case(
        under_a_case, finding="in a drawer", proposal=Verdict.CLEARED, now=timezone.now(), actor=investigator("one")
    )
    Device.objects.filter(pk=away.pk).update(status="suspended")
    told = client.get(of_one(under_a_case)).content.decode()
    assert "a case is open" in told and reverse("admin:inventory_case_change", args=[case.pk]) in told
    assert "it needs a case" in client.get(of_one(without_one)).content.decode()
    assert "It is suspended" in client.get(of_one(away)).content.decode()
    for device in (under_a_case, without_one, away):
        assert "Shown this once" not in client.post(of_one(device), {"protocol": "est"}).content.decode()
    assert not EnrolmentSecret.objects.exists()


def test_a_revoked_authority_of_the_fleet_is_told(client, operator):
    device = expired()
    Certificate.objects.filter(pk=device.fleet.authority.certificate_id).update(
        state="revoked", revoked_at=timezone.now(), revocation_reason="cACompromise"
    )
    client.force_login(operator)
    assert "give the fleet another first" in client.get(of_one(device)).content.decode()


def test_the_marked_devices_of_the_queue_get_their_secrets_in_one_file(client, operator):
    chosen, other = [expired("A-1"), expired("A-2")], expired("B-1")
    client.force_login(operator)
    marked = {"action": "choose", "_selected_action": [device.pk for device in chosen], "index": "0"}
    asked = client.post(reverse(QUEUE), marked, follow=True)
    [(address, _status)] = asked.redirect_chain
    text = asked.content.decode()
    assert "Make 2 secrets" in text and "B-1" not in text and not EnrolmentSecret.objects.exists()

    keys = re.search('name="devices" value="([^"]+)"', text)
    assert keys
    sent = client.post(address, {"protocol": "est", "devices": keys[1]})
    assert sent.headers["Content-Disposition"].startswith("attachment") and "no-store" in sent.headers["Cache-Control"]
    rows = rows_of(sent)
    assert [(row["fleet"], row["serial"], row["protocol"], row["refused"]) for row in rows] == [
        ("demo", "A-1", "est", ""),
        ("demo", "A-2", "est", ""),
    ]
    assert all(enrols(device, row["secret"]) for device, row in zip(chosen, rows, strict=True))
    assert not EnrolmentSecret.objects.filter(device=other).exists()
    assert AuditEvent.objects.filter(action=AuditAction.SECRET_CREATED, actor="operator").count() == 2


def test_a_narrowed_queue_leads_to_secrets_for_what_it_holds(client, operator):
    expired("D-1")
    elsewhere = factories.fleet("other")
    expired("O-1", fleet=elsewhere)
    client.force_login(operator)
    address = f"{reverse(MANY)}?fleet={elsewhere.pk}"
    assert address in client.get(reverse(QUEUE), {"fleet": elsewhere.pk}).content.decode()
    text = client.get(address).content.decode()
    assert "Make 1 secret" in text and "O-1" in text and "D-1" not in text


def test_what_left_the_queue_since_the_page_was_shown_gets_no_secret(client, operator):
    stays, leaves, judged = expired("S-1"), expired("L-1"), expired("J-1")
    client.force_login(operator)
    keys = ",".join(str(device.pk) for device in (stays, leaves, judged))
    Device.objects.filter(pk=leaves.pk).update(status="retired")
    Certificate.objects.filter(device=judged).update(
        state="revoked", revoked_at=timezone.now(), revocation_reason="keyCompromise"
    )
    rows = rows_of(client.post(reverse(MANY), {"protocol": "est", "devices": keys}))
    assert [row["serial"] for row in rows if row["secret"]] == ["S-1"]
    assert rows[-1]["refused"] == "2 devices left the queue"
    assert EnrolmentSecret.objects.count() == 1


def test_more_than_one_file_holds_are_asked_to_be_narrowed(client, operator, monkeypatch):
    monkeypatch.setattr("renewal.admin.enrolment_secrets.MOST", 1)
    expired(), expired()
    client.force_login(operator)
    text = client.get(reverse(MANY)).content.decode()
    assert "too many" in text and '<button type="submit" class="act"' not in text


def test_without_the_permission_there_is_neither_a_link_nor_a_page(client, viewer):
    device = expired()
    client.force_login(viewer)
    text = client.get(reverse(QUEUE)).content.decode()
    assert of_one(device) not in text and reverse(MANY) not in text and "_selected_action" not in text
    assert client.get(of_one(device)).status_code == client.post(of_one(device)).status_code == 403
    assert client.get(reverse(MANY)).status_code == client.post(reverse(MANY)).status_code == 403


def test_devices_of_other_fleets_are_neither_shown_nor_given_secrets(client, operator):
    ours, theirs = expired("OURS"), expired("THEIRS", fleet=factories.fleet("other"))
    operator.all_fleets = False
    operator.save()
    operator.fleet_memberships.create(fleet=ours.fleet)
    client.force_login(operator)
    assert client.get(of_one(theirs)).status_code == 404
    assert "THEIRS" not in client.get(reverse(MANY), {"device": [ours.pk, theirs.pk]}).content.decode()
    rows = rows_of(client.post(reverse(MANY), {"protocol": "est", "devices": f"{ours.pk},{theirs.pk}"}))
    assert [row["serial"] for row in rows if row["secret"]] == ["OURS"]


@pytest.mark.parametrize("keys", ["", "x", "1,x", "9" * 30, "1," * 2000])
def test_junk_instead_of_devices_makes_nothing(client, operator, keys):
    expired()
    client.force_login(operator)
    assert client.post(reverse(MANY), {"protocol": "est", "devices": keys}).status_code == 200
    assert client.post(reverse(QUEUE), {"action": "choose", "_selected_action": ["x"], "index": "0"}).status_code == 404
    assert not EnrolmentSecret.objects.exists()


def test_secrets_for_many_cost_as_many_statements_as_for_one(db):
    def cost(number: int) -> int:
        devices = [factories.device() for _ in range(number)]
        with CaptureQueriesContext(connection) as queries:
            secrets.create_many(devices, EnrolmentProtocol.EST, now=timezone.now(), actor=SYSTEM)
        return len(queries)

    assert cost(1) == cost(20)


def test_no_secret_begins_with_what_a_shell_or_a_spreadsheet_takes_for_its_own(db, monkeypatch):
    drawn = iter(["-a", "-b", "c-d"])
    monkeypatch.setattr("renewal.secrets.secrets.token_urlsafe", lambda _bytes: next(drawn))
    assert secrets.create(factories.device(), EnrolmentProtocol.EST, now=timezone.now(), actor=SYSTEM) == "c-d"
