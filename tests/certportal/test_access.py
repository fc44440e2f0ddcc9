from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from certportal import access
from inventory.audit import record
from inventory.audit.record import Actor
from inventory.models import AuditAction, AuditEvent, Fleet, Profile
from inventory.models.audit import ActorKind
from tests import factories
from tests.certportal.forms import form_of

LOGIN = "/admin/login/"
PASSWORD = "a long enough password"
WRONG = "not the password"


def attempt(client: Client, username: str = "boss", password: str = WRONG, **extra: Any) -> Any:
    return client.post(LOGIN, {"username": username, "password": password, "next": "/admin/"}, **extra)


def test_a_login_and_a_failure_are_audit_events_with_their_address(client, boss):
    attempt(client, REMOTE_ADDR="198.51.100.7")
    attempt(client, password=PASSWORD, REMOTE_ADDR="198.51.100.7")
    assert list(AuditEvent.objects.order_by("id").values_list("action", "actor_kind", "actor", "source_address")) == [
        ("user:login:failed", "unknown", "boss", "198.51.100.7"),
        ("user:login:succeeded", "user", "boss", "198.51.100.7"),
    ]


def test_no_password_is_kept(client, boss):
    attempt(client, password="hunter2-hunter2")
    event = AuditEvent.objects.get()
    assert "hunter2" not in f"{event.__dict__}"


@pytest.mark.parametrize("username", ["", "x" * 5000, "a\x00b", "ω<script>"])
def test_a_name_nobody_has_is_recorded_and_no_error(client, db, username):
    assert attempt(client, username=username).status_code == 200


def failures(count: int, *, actor: str = "boss", address: str = "203.0.113.9", ago: timedelta = timedelta(0)) -> None:
    guesser = Actor(ActorKind.UNKNOWN, actor, address)
    at = timezone.now() - ago
    event = AuditAction.LOGIN_FAILED
    record.record(record.event(event, now=at, actor=guesser, object_name=actor) for _ in range(count))


def test_after_ten_failures_in_five_minutes_even_the_right_password_waits(client, boss):
    failures(10)
    response = attempt(client, password=PASSWORD)
    assert b"Too many failed logins" in response.content
    assert "_auth_user_id" not in client.session


def test_nine_failures_do_not_lock_anybody_out(client, boss):
    failures(9)
    assert attempt(client, password=PASSWORD).status_code == 302


def test_the_brake_comes_off_after_five_minutes(client, boss):
    failures(10, ago=access.SPAN + timedelta(seconds=1))
    assert attempt(client, password=PASSWORD).status_code == 302


def test_the_brake_holds_an_address_that_tries_many_names(client, boss):
    for index in range(10):
        failures(1, actor=f"name{index}")
    assert b"Too many failed logins" in attempt(client, password=PASSWORD, REMOTE_ADDR="203.0.113.9").content
    assert attempt(client, password=PASSWORD, REMOTE_ADDR="198.51.100.1").status_code == 302


def test_the_brake_counts_a_link_local_address_without_its_zone(client, boss):
    """The same host is fe80::1%eth0 on one interface and fe80::1 in the log."""
    zoned = "fe80::1%eth0"
    assert b"Too many failed logins" not in attempt(client, REMOTE_ADDR=zoned).content
    for index in range(9):
        failures(1, actor=f"name{index}", address=zoned)
    assert b"Too many failed logins" in attempt(client, password=PASSWORD, REMOTE_ADDR=zoned).content


# --- Changes of configuration ---------------------------------------------------------------------------------------


def test_a_change_of_a_profile_is_an_event_with_old_and_new_values(page, db):
    profile = factories.profile()
    address = reverse("admin:inventory_profile_change", args=[profile.pk])
    data = {**form_of(page.client, address), "name": "Meters, faster", "renewal_window": "60 00:00:00"}
    assert page.client.post(address, data).status_code == 302
    event = AuditEvent.objects.get(action=AuditAction.CONFIGURATION_CHANGED)
    assert event.actor == "boss"
    assert event.details["changes"]["name"] == ["meter", "Meters, faster"]
    assert event.details["changes"]["renewal_window"] == ["90 days, 0:00:00", "60 days, 0:00:00"]
    assert len(event.details["changes"]) == 2
    assert Profile.objects.get().name == "Meters, faster"


def test_a_form_saved_unchanged_leaves_no_event(page, db):
    fleet = factories.fleet()
    before = AuditEvent.objects.filter(action=AuditAction.CONFIGURATION_CHANGED).count()
    address = reverse("admin:inventory_fleet_change", args=[fleet.pk])
    assert page.client.post(address, form_of(page.client, address)).status_code == 302
    assert AuditEvent.objects.filter(action=AuditAction.CONFIGURATION_CHANGED).count() == before


def test_the_label_of_a_fleet_stays_as_its_devices_know_it(page, db):
    fleet = factories.fleet()
    address = reverse("admin:inventory_fleet_change", args=[fleet.pk])
    page.client.post(address, {**form_of(page.client, address), "slug": "other", "name": "New name"})
    assert (Fleet.objects.get().slug, Fleet.objects.get().name) == ("demo", "New name")


def test_a_new_user_is_an_event_without_the_password(page):
    secret = "Correct-Horse-9-Battery"
    data = {"username": "ana", "password1": secret, "password2": secret, "usable_password": "true"}
    assert page.client.post(reverse("admin:certportal_user_add"), data).status_code == 302
    event = AuditEvent.objects.get(action=AuditAction.CONFIGURATION_CHANGED)
    assert "ana" in event.object_name
    assert secret not in str(event.details)


def test_a_viewer_sees_pages_and_steers_nothing(client, viewer, small_fleet):
    client.force_login(viewer)
    certificate = small_fleet.devices.first().certificates.first()
    assert client.get("/admin/").status_code == 200
    assert client.get(reverse("admin:inventory_device_change", args=[certificate.device_id])).status_code == 200
    for address in (
        reverse("admin:revoke_certificate", args=[certificate.pk]),
        reverse("admin:renewal_campaign_plan"),
    ):
        assert client.get(address).status_code == 403
        assert client.post(address, {"reason": "unspecified"}).status_code == 403
