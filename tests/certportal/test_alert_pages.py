"""Alerts answered on pages and over the API, and the two queues of devices that cannot authenticate."""

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from inventory.admin import attention
from inventory.admin.alerts import AlertAdmin
from inventory.admin.attention import needs
from inventory.alerts import acknowledgement
from inventory.alerts.policies import make_defaults
from inventory.alerts.settling import settle
from inventory.alerts.sweep import sweep, sweep_own
from inventory.audit import record
from inventory.audit.record import SYSTEM, Actor
from inventory.devices.locked_out import READINGS, Queue, count_up_to, in_queue, queue_of
from inventory.lists.cursors import Cursor
from inventory.lists.row_counts import Count
from inventory.models import (
    Alert,
    AlertLevel,
    AlertPolicy,
    AlertRun,
    AuditAction,
    AuditEvent,
    Certificate,
    Delivery,
    Device,
    Mute,
    Recipient,
)
from inventory.models.audit import ActorKind
from inventory.sightings import Sighting, record_sightings
from inventory.sightings.identifiers import Fingerprint
from tests import factories
from tests.factories import DAY

LIST = "/admin/inventory/alert/"


@pytest.fixture
def alerts(db):
    """Three devices at 80, 50 and 20 days before the end, swept now: pages read the clock."""
    policy = AlertPolicy.objects.create(name="Meters", applies_to="intermittent", thresholds=[90, 60, 30])
    AlertLevel.objects.create(policy=policy, number=1, repeat_every=7 * DAY, silence=14 * DAY)
    now = timezone.now()
    for days in (80, 50, 20):
        factories.enrolled(factories.device(f"M{days}", connectivity="intermittent"), expires_in=days * DAY, now=now)
    sweep(now)
    return Alert.objects.open().order_by("ends_at")


def test_the_list_shows_what_is_open_soonest_first_and_reads_a_constant_number_of_times(
    alerts, page, django_assert_max_num_queries
):
    with django_assert_max_num_queries(16):
        text = page(LIST)
    assert [text.index(f">M{days}<") for days in (20, 50, 80)] == sorted(text.index(f">M{d}<") for d in (20, 50, 80))
    assert "3 alerts" in text
    assert "6 alerts" in page(LIST, state="all")


@pytest.mark.parametrize("query", ["state=odd", "fleet=x", "threshold=abc"])
def test_a_filter_nobody_offers_is_refused_and_no_error(alerts, page, query):
    assert page.client.get(f"{LIST}?{query}").status_code == 400


def test_pages_follow_each_other_and_every_open_alert_stands_on_one(alerts, page, monkeypatch):
    make_defaults()
    sweep_own(timezone.now() + 20 * 365 * DAY)
    monkeypatch.setattr(AlertAdmin, "list_per_page", 1)
    found: list[int] = []
    address: str | None = LIST
    while address:
        text = page(address)
        found += [int(pk) for pk in re.findall(r"/admin/inventory/alert/([0-9]+)/change/", text)]
        following = re.search(r'rel="next" href="([^"]+)"', text)
        address = LIST + unescape(following[1]) if following else None
    worst_first = Alert.objects.open().order_by("urgency", "ends_at", "id")
    assert found == list(worst_first.values_list("pk", flat=True)) and len(found) > 3


@pytest.mark.parametrize(
    "value", ["", "1", "[1, 2]", '["1"]', '["1", "no time"]', '["x", "2027-01-01T00:00:00Z"]', "[" * 999]
)
def test_a_cursor_that_no_page_handed_out_is_refused(alerts, client, boss, value):
    client.force_login(boss)
    cursor = Cursor("inventory.alert", "urgency,ends_at", False, value, 1).encode()
    assert client.get(f"{LIST}?cursor={cursor}").status_code == 400


def test_alerts_are_filtered_by_threshold_and_level_as_policies_name_them(alerts, page, client, boss):
    assert "1 alert<" in page(f"{LIST}?threshold=60") and "3 alerts<" in page(f"{LIST}?level=1")
    assert all(f"?threshold={days}" in page(LIST) for days in (30, 60, 90))
    client.force_login(boss)
    assert client.get(f"{LIST}?level=99999").status_code == client.get(f"{LIST}?threshold=x").status_code == 400


def test_alerts_are_exported_as_they_are_listed(alerts, client, boss):
    client.force_login(boss)
    content = b"".join(client.get(f"{LIST}export/csv/?threshold=30").streaming_content).decode()
    assert len(content.splitlines()) == 2 and "M20" in content


def test_looking_at_the_page_acknowledges_nothing(alerts, page):
    text = page(reverse("admin:inventory_alert_acknowledge"))
    assert "Acknowledge 3 alerts" in text
    assert Alert.objects.waiting().count() == 3


def acknowledge(page, query: str = "", note: str = "planned", as_of=None):
    as_of = as_of or timezone.now()
    address = f"{reverse('admin:inventory_alert_acknowledge')}?{query}"
    return page.client.post(address, {"note": note, "as_of": as_of.isoformat()}, follow=True)


def test_one_alert_is_acknowledged_with_person_note_and_trace(alerts, page):
    first = alerts[0]
    assert b"1 alert acknowledged" in acknowledge(page, f"id={first.pk}").content
    first.refresh_from_db()
    assert (first.acknowledged_by, first.note) == ("boss", "planned")
    event = AuditEvent.objects.get(action=AuditAction.ALERTS_ACKNOWLEDGED)
    assert (event.actor, event.device.serial, event.details["note"]) == ("boss", "M20", "planned")
    assert Alert.objects.waiting().count() == 2


def test_a_filtered_list_is_acknowledged_at_once_and_leaves_one_trace(alerts, page):
    acknowledge(page, "threshold=90")
    acknowledge(page)
    assert Alert.objects.waiting().count() == 0
    counts = AuditEvent.objects.filter(action=AuditAction.ALERTS_ACKNOWLEDGED).values_list("details__count", flat=True)
    assert sum(counts) == 3


def test_what_fires_after_the_page_was_shown_is_not_answered_by_it(alerts, page):
    acknowledge(page, as_of=timezone.now() - timedelta(hours=1))
    assert Alert.objects.waiting().count() == 3


def test_who_may_only_look_answers_nothing(alerts, client, viewer):
    client.force_login(viewer)
    assert client.get(LIST).status_code == 200
    assert b"Acknowledge what is listed" not in client.get(LIST).content
    for address in (
        reverse("admin:inventory_alert_acknowledge"),
        reverse("admin:inventory_alert_mute", args=[alerts[0].pk]),
        reverse("admin:inventory_alert_unmute", args=[alerts[0].pk]),
    ):
        assert client.get(address).status_code in {403, 405}
        assert client.post(address, {}).status_code == 403


def test_a_mute_needs_an_end_and_a_reason(alerts, page):
    address = reverse("admin:inventory_alert_mute", args=[alerts[0].pk])
    yesterday, later = ((timezone.now() + days * DAY).date().isoformat() for days in (-1, 10))
    for form in ({}, {"until": later}, {"reason": "moved"}, {"until": yesterday, "reason": "moved"}):
        assert page.client.post(address, form).status_code == 200
        assert not Mute.objects.exists()
    page.client.post(address, {"until": later, "reason": "moved"})
    mute = Mute.objects.get()
    assert (mute.certificate, mute.created_by, mute.reason) == (alerts[0].certificate, "boss", "moved")
    assert AuditEvent.objects.filter(action=AuditAction.ALERT_MUTED, actor="boss").count() == 1
    assert "muted" in page(LIST)


def muted(until, **what: object) -> Mute:
    made = timezone.now() - DAY
    return Mute.objects.create(until=until, reason="New modem on Friday", created_at=made, created_by="olga", **what)


def test_the_page_of_an_alert_says_who_acknowledged_it_when_and_why(alerts, page):
    first = alerts[0]
    acknowledge(page, f"id={first.pk}", note="technician booked")
    text = page(reverse("admin:inventory_alert_change", args=[first.pk]))
    assert "by <bdi>boss</bdi>" in text and "<bdi>technician booked</bdi>" in text
    assert f"{timezone.now():%Y-%m-%d}" in text


def test_the_page_of_an_alert_says_until_when_it_is_muted_by_whom_and_why_and_unmutes_it(alerts, page):
    first = alerts[0]
    address = reverse("admin:inventory_alert_change", args=[first.pk])
    assert "Unmute" not in page(address)
    until = timezone.now() + 10 * DAY
    mute = muted(until, certificate=first.certificate)
    text = page(address)
    assert "Muted until" in text and f"{until:%Y-%m-%d %H:%M}" in text
    assert "by <bdi>olga</bdi>" in text and "<bdi>New modem on Friday</bdi>" in text

    response = page.client.post(reverse("admin:inventory_alert_unmute", args=[first.pk]), follow=True)

    assert b"Unmuted" in response.content and b"Muted until" not in response.content
    mute.refresh_from_db()
    assert mute.until <= timezone.now()
    event = AuditEvent.objects.get(action=AuditAction.CONFIGURATION_CHANGED)
    assert (event.actor, event.details["changes"]["until"][0]) == ("boss", until.isoformat())
    again = page.client.post(reverse("admin:inventory_alert_unmute", args=[first.pk]), follow=True)
    assert b"It was not muted" in again.content


def test_the_mute_of_a_fleet_is_told_on_its_alerts_and_ended_where_it_is(alerts, page):
    mute = muted(timezone.now() + DAY, fleet=factories.fleet())
    muted(timezone.now() + DAY, fleet=factories.fleet("other"))
    text = page(reverse("admin:inventory_alert_change", args=[alerts[0].pk]))
    assert "The whole fleet <bdi>demo</bdi> is muted until" in text and text.count("is muted until") == 1
    assert reverse("admin:inventory_mute_change", args=[mute.pk]) in text
    page.client.post(reverse("admin:inventory_alert_unmute", args=[alerts[0].pk]))
    mute.refresh_from_db()
    assert mute.until > timezone.now()


def test_of_the_portals_own_the_thing_is_unmuted(alerts, page):
    make_defaults()
    sweep_own(timezone.now() + 20 * 365 * DAY)
    own = Alert.objects.open().filter(urgency=0).first()
    acknowledgement.mute(
        own, until=timezone.now() + DAY, reason="known", now=timezone.now() - DAY, actor=Actor(ActorKind.USER, "olga")
    )
    assert "<bdi>known</bdi>" in page(reverse("admin:inventory_alert_change", args=[own.pk]))
    page.client.post(reverse("admin:inventory_alert_unmute", args=[own.pk]))
    assert not Mute.objects.active(timezone.now()).exists()


def test_list_dashboard_and_api_agree_once_an_alert_has_settled(alerts, page):
    device = alerts[0].certificate.device
    factories.enrolled(device, expires_in=300 * DAY, now=timezone.now(), used=False)
    # It was issued now by the log, and weeks ago by its dates.
    told = record.event(
        AuditAction.CERTIFICATE_RENEWED, now=timezone.now(), actor=SYSTEM, object_name="", device=device
    )
    record.record([told])
    assert settle(timezone.now()) == 1
    assert "2 alerts" in page(LIST, state="waiting")
    assert [need.text for need in needs(timezone.now())] == ["2 certificates reached their alert thresholds."]
    assert len(page.client.get("/api/v1/alerts/", {"state": "waiting"}).json()["results"]) == 2
    assert "renewed" in page(LIST, state="resolved")


def test_a_fleet_is_muted_until_a_later_time_only_and_ended_by_an_earlier_one(alerts, page):
    fleet, add = factories.fleet(), reverse("admin:inventory_mute_add")
    now = timezone.now()

    def post(address: str, until, **more: object) -> int:
        form = {"fleet": fleet.pk, "reason": "works", "until": f"{until:%Y-%m-%d %H:%M}"}
        return page.client.post(address, {**form, **more}).status_code

    assert post(add, now - DAY) == 200
    assert post(add, now + DAY, fleet="") == 200
    assert not Mute.objects.exists()
    assert post(add, now + DAY) == 302
    mute = Mute.objects.get()
    change = reverse("admin:inventory_mute_change", args=[mute.pk])
    assert post(change, now - 2 * DAY) == 200
    assert post(change, now + DAY / 2) == 302
    mute.refresh_from_db()
    assert (mute.fleet, mute.created_by) == (fleet, "boss")
    assert mute.until < now + DAY


def test_every_page_of_alerting_opens(alerts, page):
    recipient = Recipient.objects.create(name="hook", channel="webhook", address="https://hooks.example/x")
    run = AlertRun.objects.get()
    Delivery.objects.create(
        run=run, recipient=recipient, content={}, certificates=3, created_at=timezone.now(), problem="<b>down</b>"
    )
    Mute.objects.create(
        fleet=factories.fleet(), until=timezone.now() + DAY, reason="r", created_at=timezone.now(), created_by="boss"
    )
    for model in ("alert", "alertpolicy", "recipient", "mute", "delivery", "expireddevice", "revokeddevice"):
        page(reverse(f"admin:inventory_{model}_changelist"))
    page(reverse("admin:inventory_alert_change", args=[alerts[0].pk]))
    for row in (AlertPolicy.objects.get(), recipient, Mute.objects.get()):
        page(reverse(f"admin:inventory_{row._meta.model_name}_change", args=[row.pk]))
        page(reverse(f"admin:inventory_{row._meta.model_name}_add"))
    assert "whsec_" in page(reverse("admin:inventory_recipient_change", args=[recipient.pk]))


def test_a_secret_is_not_shown_to_who_may_only_look(alerts, client, viewer):
    recipient = Recipient.objects.create(name="hook", channel="webhook", address="https://hooks.example/x")
    client.force_login(viewer)
    text = client.get(reverse("admin:inventory_recipient_change", args=[recipient.pk])).content
    assert b"hooks.example" in text
    assert b"whsec_" not in text


def test_a_change_of_levels_is_in_the_audit_log(alerts, page):
    policy = AlertPolicy.objects.get()
    level = policy.levels.get()
    form = {
        "name": policy.name, "applies_to": "intermittent", "thresholds": "90,60,30", "enabled": "on",
        "levels-TOTAL_FORMS": 1, "levels-INITIAL_FORMS": 1, "levels-0-id": level.pk, "levels-0-policy": policy.pk,
        "levels-0-number": 1, "levels-0-repeat_every": "3 00:00:00", "levels-0-silence": "14 00:00:00",
    }  # fmt: skip
    response = page.client.post(reverse("admin:inventory_alertpolicy_change", args=[policy.pk]), form)
    assert response.status_code == 302
    event = AuditEvent.objects.get(action=AuditAction.CONFIGURATION_CHANGED, details__changes__has_key="level 1")
    assert event.details["changes"]["level 1"][1] == {"repeat_every": "3 days, 0:00:00"}


def test_the_story_of_a_device_tells_of_its_alerts(alerts, page):
    acknowledge(page, f"id={alerts[0].pk}", note="technician booked")
    text = page(reverse("admin:inventory_device_change", args=[alerts[0].certificate.device_id]))
    assert "alert, 30 d before the end, level 1" in text
    assert "technician booked" in text


# --- Expired and revoked ---------------------------------------------------------------------------------------------


def revoked(serial: str, now, ends=100 * DAY) -> Device:
    enrolled = factories.enrolled(factories.device(serial), expires_in=ends, now=now)
    Certificate.objects.filter(pk=enrolled.certificate.pk).update(
        state="revoked", revoked_at=now - DAY, revocation_reason="keyCompromise"
    )
    return enrolled.device


def test_one_device_in_each_state_stands_in_its_own_queue_with_its_own_text_and_steps(page):
    now = timezone.now()
    expired = factories.enrolled(factories.device("EXPIRED-1"), expires_in=-3 * DAY, now=now).device
    distrusted, both = revoked("REVOKED-1", now), revoked("REVOKED-2", now, ends=-5 * DAY)
    fine = factories.enrolled(factories.device("FINE-1"), expires_in=9 * DAY, now=now).device
    assert [queue_of(device, now) for device in (expired, distrusted, both, fine)] == [
        Queue.EXPIRED,
        Queue.REVOKED,
        Queue.REVOKED,
        None,
    ]
    lists = {queue: page(reverse(f"admin:inventory_{queue}device_changelist")) for queue in Queue}
    assert "EXPIRED-1" in lists[Queue.EXPIRED]
    assert "EXPIRED-1" not in lists[Queue.REVOKED]
    assert "REVOKED-1" in lists[Queue.REVOKED]
    assert "REVOKED-1" not in lists[Queue.EXPIRED]
    for queue in Queue:
        assert f'class="state {READINGS[queue].tone}"' in lists[queue]
        assert str(READINGS[queue].text) in lists[queue]
    assert "enrol it anew" in lists[Queue.EXPIRED]
    assert "enrol it anew" not in lists[Queue.REVOKED]
    assert READINGS[Queue.EXPIRED].tone != READINGS[Queue.REVOKED].tone


def test_a_revocation_outweighs_an_older_certificate_that_ended(db):
    now = timezone.now()
    enrolled = factories.enrolled(factories.device("D-1"), expires_in=-3 * DAY, now=now)
    later = factories.enrolled(enrolled.device, expires_in=50 * DAY, now=now, used=False).certificate
    Certificate.objects.filter(pk=later.pk).update(state="revoked", revoked_at=now, revocation_reason="keyCompromise")
    assert queue_of(enrolled.device, now) == Queue.REVOKED


def test_a_device_out_of_service_or_with_another_certificate_stands_in_no_queue(db):
    now = timezone.now()
    expired = factories.enrolled(factories.device("D-1"), expires_in=-3 * DAY, now=now).device
    distrusted = revoked("D-2", now)
    factories.enrolled(distrusted, expires_in=50 * DAY, now=now)
    Device.objects.filter(pk=expired.pk).update(status="retired")
    for queue in Queue:
        assert not in_queue(Device.objects.all(), queue, now).exists()
        assert count_up_to(10, queue, now) == Count(0, exact=True)


@pytest.mark.parametrize("queue", Queue)
def test_a_queue_is_counted_to_the_row_so_far_as_asked(db, queue):
    now = timezone.now()
    for number in range(4):
        revoked(f"R{number}", now)
        factories.enrolled(factories.device(f"E{number}"), expires_in=-3 * DAY, now=now)
    count = in_queue(Device.objects.all(), queue, now).count()
    assert count_up_to(count + 1, queue, now, [factories.fleet().pk]) == Count(count, exact=True)
    assert count_up_to(2, queue, now) == Count(2, exact=False)
    assert count_up_to(10, queue, now, fleets=[-1]) == Count(0, exact=True)


def test_what_needs_a_person_is_named_with_its_tone(alerts, django_assert_num_queries):
    now = timezone.now()
    revoked("REVOKED-1", now)
    Alert.objects.filter(threshold=30).update(level=2)
    with django_assert_num_queries(7):
        found = needs(now)
    assert [(each.tone, each.text) for each in found] == [
        ("stopped", "1 device is cut off by a revocation."),
        ("late", "3 certificates reached their alert thresholds. 1 went unanswered and climbed."),
    ]
    assert needs(now, [-1]) == []


def test_a_dashboard_counts_so_far_as_a_person_cares(alerts, monkeypatch):
    monkeypatch.setattr(attention, "_COUNTED", 2)
    assert [each.text for each in needs(timezone.now())] == ["at least 2 certificates reached their alert thresholds."]


def test_the_lists_that_needs_lead_to_hold_what_they_count(alerts, page):
    now = timezone.now()
    revoked("REVOKED-1", now)
    run = AlertRun.objects.get()
    to = Recipient.objects.create(name="ops", channel="email", address="ops@example.org")
    Delivery.objects.create(run=run, recipient=to, content={}, certificates=1, created_at=now - DAY)
    texts = [page(each.url) for each in needs(now, [factories.fleet().pk])]
    assert ["1 alert digest" in texts[0], "REVOKED-1" in texts[1], "3 alerts" in texts[2]] == [True] * 3


# --- Unexpected sightings -----------------------------------------------------------------------------------


def test_what_was_seen_alive_and_should_not_have_been_is_listed_and_told_of(page):
    now = timezone.now()
    make_defaults()
    device = revoked("REVOKED-1", now - DAY)
    certificate = device.certificates.get()
    seen = [Sighting(now, Fingerprint(bytes(certificate.sha256))), Sighting(now, Fingerprint(b"\x07" * 32))]
    for moment in (now - DAY / 24, now):
        record_sightings([replace(each, at=moment) for each in seen], now, Actor(ActorKind.USER, "gateway-1"))
    sweep_own(now)

    listed = page(reverse("admin:inventory_unexpectedsighting_changelist"))
    assert "REVOKED-1" in listed and "07" * 32 in listed
    found = needs(now)
    assert [need.tone for need in found] == ["late", "late", "stopped"]
    dead, stranger, _cut_off = sorted(found, key=lambda need: (need.tone, "nobody here knows" in need.text))
    assert "gateway-1 met revoked certificates alive" in dead.text
    assert "gateway-1 met certificates or devices that nobody here knows" in stranger.text
    alert = page(dead.url)
    [address] = re.findall(r'href="([^"]*unexpectedsighting[^"]*)"', alert)
    only = page(unescape(address))
    assert "REVOKED-1" in only and "07" * 32 not in only
    assert "seen alive: revoked" in page(reverse("admin:inventory_device_change", args=[device.pk]))


# --- The API ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def api(client, boss, alerts):
    client.force_login(boss)
    return client


def test_alerts_are_read_and_filtered(api):
    address = "/api/v1/alerts/"
    assert len(api.get(address).json()["results"]) == 6
    [row] = api.get(f"{address}?state=waiting&threshold=30").json()["results"]
    assert (row["kind"], row["device"]["serial"], row["level"], row["resolution"]) == ("device_expiry", "M20", 1, "")
    assert api.get(f"{address}{row['id']}/").json() == row
    assert len(api.get(f"{address}?device=M20&state=resolved").json()["results"]) == 2
    assert api.get(f"{address}?state=odd").status_code == 400


def test_an_alert_is_acknowledged_once_over_the_api(api, alerts):
    address = f"/api/v1/alerts/{alerts[0].pk}/"
    read = api.get(address)
    first = answered(api, alerts[0], "planned", read["ETag"])
    assert (first.status_code, first.json()["acknowledged_by"], first.json()["note"]) == (200, "boss", "planned")
    assert first["ETag"] == api.get(address)["ETag"] != read["ETag"]
    again = answered(api, alerts[0], "other", first["ETag"])
    assert again.json() == first.json()
    assert AuditEvent.objects.filter(action=AuditAction.ALERTS_ACKNOWLEDGED).count() == 1


def answered(client, alert, note, etag=None):
    headers = {"If-Match": etag} if etag else {}
    address = f"/api/v1/alerts/{alert.pk}/acknowledge/"
    return client.post(address, {"note": note}, content_type="application/json", headers=headers)


def test_only_who_has_read_an_alert_as_it_is_acknowledges_it_over_the_api(api, alerts):
    read = api.get(f"/api/v1/alerts/{alerts[0].pk}/")
    assert answered(api, alerts[0], "blind").status_code == 428
    Alert.objects.filter(pk=alerts[0].pk).update(level=2)
    assert answered(api, alerts[0], "late", read["ETag"]).status_code == 412
    assert Alert.objects.get(pk=alerts[0].pk).acknowledged_at is None


def test_an_alert_is_muted_over_the_api(api, alerts):
    address = f"/api/v1/alerts/{alerts[0].pk}/mute/"
    ahead = {"until": "2099-01-01T00:00:00Z", "reason": "Replaced next week"}
    made = api.post(address, ahead, content_type="application/json")
    assert (made.status_code, made.json()["certificate"]["id"]) == (201, alerts[0].certificate_id)
    assert Mute.objects.get().created_by == "boss"
    past = api.post(address, {**ahead, "until": "2020-01-01T00:00:00Z"}, content_type="application/json")
    assert (past.status_code, list(past.json()["error"]["details"])) == (400, ["until"])


def test_acknowledging_over_the_api_needs_the_right_to_change_alerts(alerts, client, viewer):
    client.force_login(viewer)
    answer = answered(client, alerts[0], "", "*")
    assert answer.status_code == 403
    assert "inventory.change_alert" in answer.json()["error"]["message"]
    viewer.user_permissions.add(Permission.objects.get(codename="change_alert"))
    assert answered(client, alerts[0], "", "*").status_code == 200
