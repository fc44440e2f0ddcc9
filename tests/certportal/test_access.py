from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from certportal import access, brakes
from certportal.models import Brake, User
from inventory.models import AuditAction, AuditEvent, Fleet, Profile
from tests import factories
from tests.certportal.forms import form_of
from tests.parallel import at_once

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


# --- Brakes -----------------------------------------------------------------------------------------------------------

HOME, ELSEWHERE, STRANGER = "198.51.100.1", "198.51.100.2", "203.0.113.9"
BRAKED = b"Too many attempts with this name"


def guess(times: int, username: str = "boss", address: str = STRANGER) -> Any:
    """Try wrong passwords in a browser of one's own; return the last answer."""
    return [attempt(Client(), username, REMOTE_ADDR=address) for _ in range(times)][-1]


def logs_in(client: Client, address: str = HOME) -> bool:
    return attempt(client, password=PASSWORD, REMOTE_ADDR=address).status_code == 302


def later(span: timedelta) -> None:
    """Let time pass: what is in the buckets was put there earlier."""
    Brake.objects.update(at=F("at") - span)


def test_nobody_locks_a_person_out_by_the_name(boss):
    assert BRAKED in guess(15).content
    assert logs_in(Client(), HOME)


def test_who_guesses_is_slowed_down_to_one_attempt_in_half_a_minute(boss):
    assert BRAKED not in guess(access.MOST_ATTEMPTS).content
    assert BRAKED in guess(1).content
    # What is braked is no attempt: it puts off nothing.
    guess(5)
    later(timedelta(seconds=access.SECONDS_BETWEEN))
    assert BRAKED not in guess(1).content
    assert BRAKED in guess(1).content


def test_a_browser_that_is_known_gets_through_behind_the_address_of_a_guesser(boss):
    known = Client()
    assert logs_in(known, HOME)
    known.post("/admin/logout/")
    guess(15, address=ELSEWHERE)
    assert not logs_in(Client(), ELSEWHERE)
    assert logs_in(known, ELSEWHERE)


def test_a_known_browser_guesses_no_faster_and_for_no_other_name(boss):
    User.objects.create_superuser("other", password=PASSWORD)
    known = Client()
    assert logs_in(known, HOME)
    known.post("/admin/logout/")
    for _ in range(access.MOST_ATTEMPTS):
        attempt(known, REMOTE_ADDR=HOME)
    assert BRAKED in attempt(known, REMOTE_ADDR=HOME).content
    # The cookie of one account says nothing of another.
    guess(access.MOST_ATTEMPTS, "other", HOME)
    assert BRAKED in attempt(known, "other", REMOTE_ADDR=HOME).content


def test_a_forged_cookie_makes_no_browser_known(boss):
    guess(access.MOST_ATTEMPTS)
    forged = Client()
    forged.cookies[access.KNOWN_DEVICE] = f"{boss.pk}:nonce:1tXyz:signature"
    assert BRAKED in attempt(forged, password=PASSWORD, REMOTE_ADDR=STRANGER).content


def test_the_right_password_costs_no_attempt(boss):
    assert all(logs_in(Client(), HOME) for _ in range(access.MOST_ATTEMPTS + 3))


@pytest.mark.parametrize(
    ("address", "same"),
    [("2001:db8::1", "2001:db8::ffff:2"), ("fe80::1%eth0", "fe80::1"), ("::ffff:192.0.2.1", "192.0.2.1")],
)
def test_a_network_is_braked_and_not_one_of_its_addresses(boss, address, same):
    guess(access.MOST_ATTEMPTS, address=address)
    assert BRAKED in guess(1, address=same).content


def test_who_has_many_networks_of_ipv6_is_braked_beyond_them(boss):
    for net in range(4):
        assert BRAKED not in guess(access.MOST_ATTEMPTS, address=f"2001:db8:1:{net}::1").content
    assert BRAKED in guess(1, address="2001:db8:1:4::1").content
    assert BRAKED not in guess(1, address="2001:db8:2:4::1").content


@pytest.mark.django_db(transaction=True)
def test_attempts_at_the_same_moment_are_counted_before_a_password_is_looked_at(boss):
    answers = at_once([lambda: guess(1) for _ in range(access.MOST_ATTEMPTS + 6)])
    assert sum(BRAKED in answer.content for answer in answers) == 6
    assert AuditEvent.objects.filter(action=AuditAction.LOGIN_FAILED).count() == access.MOST_ATTEMPTS


def test_names_that_nobody_has_are_hashed_for_a_while_only_and_stop_nobody(boss):
    answers = [guess(1, f"nobody{number}", HOME).content for number in range(40)]
    assert all(b"Please enter the correct username" in answer for answer in answers)
    assert AuditEvent.objects.filter(action=AuditAction.LOGIN_FAILED).count() == 30
    assert logs_in(Client(), HOME)


def test_what_is_long_empty_is_forgotten(boss):
    guess(1)
    assert brakes.forget(timezone.now()) == 0
    later(timedelta(days=2))
    assert brakes.forget(timezone.now()) == 1


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
