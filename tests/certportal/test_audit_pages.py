"""The audit log found by date, by who acted and by whatever an event names; exports hold what is listed."""

from datetime import datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from inventory.audit.record import Actor, event, record
from inventory.lists import search
from inventory.models import AuditAction, AuditEvent
from inventory.models.audit import ActorKind
from tests import factories
from tests.factories import DAY

LIST = "/admin/inventory/auditevent/"
OLGA = Actor(ActorKind.USER, "olga", request_id="req-77aa")
BOT = Actor(ActorKind.USER, "olga / nightly", request_id="req-88bb")


def told(
    actor: Actor, name: str, at: datetime, device=None, certificate=None, action=AuditAction.CONFIGURATION_CHANGED
):
    happened = event(action, now=at, actor=actor, object_name=name, device=device, certificate=certificate)
    record([happened])
    return AuditEvent.objects.latest("pk")


@pytest.fixture
def log(db):
    """Four events, one a day, the last one today."""
    now = timezone.now()
    device = factories.device("MTR-1")
    return [
        told(OLGA, "campaign: Spring in Penang", now - 9 * DAY),
        told(BOT, "MTR-1", now - 8 * DAY, device=device, action=AuditAction.RENEWAL_REFUSED),
        told(BOT, "recipient: ops", now - 2 * DAY),
        told(OLGA, "fleet: demo", now),
    ]


def found(page, **asked: object) -> list[str]:
    """Return the objects of the events that a list shows, latest first."""
    text = page(LIST, **asked)
    names = ["campaign: Spring in Penang", "MTR-1", "recipient: ops", "fleet: demo"]
    shown = [name for name in names if f"<bdi>{name}</bdi>" in text]
    return sorted(shown, key=lambda name: text.index(f"<bdi>{name}</bdi>"))


def day(ago: int) -> str:
    return (timezone.now() - ago * DAY).date().isoformat()


def test_the_log_is_narrowed_by_dates_the_last_not_included(log, page):
    assert found(page, at__gte=day(8)) == ["fleet: demo", "recipient: ops", "MTR-1"]
    assert found(page, at__gte=day(9), at__lt=day(2)) == ["MTR-1", "campaign: Spring in Penang"]
    assert found(page, at__lt=day(8)) == ["campaign: Spring in Penang"]
    text = page(LIST, at__gte=day(8))
    assert f'name="at__gte" value="{day(8)}"' in text
    assert 'name="at__lt" value=""' in text


def test_a_date_that_no_calendar_has_is_told_and_lists_nothing(log, page):
    answer = page.client.get(LIST, {"at__gte": "2027-02-30"})
    assert answer.status_code == 400
    assert "2027-02-30" in answer.content.decode()
    assert "result_list" not in answer.content.decode()


def test_the_log_is_narrowed_by_who_acted(log, page):
    assert found(page, actor="olga") == ["fleet: demo", "campaign: Spring in Penang"]
    assert found(page, actor="olga / nightly", at__gte=day(3)) == ["recipient: ops"]
    text = page(LIST, actor="olga", at__gte=day(9))
    assert 'name="actor" value="olga"' in text
    # What one form asks for, the other keeps.
    assert f'<input type="hidden" name="at__gte" value="{day(9)}">' in text
    assert '<input type="hidden" name="actor" value="olga">' in text


@pytest.mark.parametrize(
    ("term", "names"),
    [
        ("MTR-1", ["MTR-1"]),
        ("MTR", ["MTR-1"]),
        ("olga", ["fleet: demo", "campaign: Spring in Penang"]),
        ("req-88bb", ["recipient: ops", "MTR-1"]),
        ("penang", ["campaign: Spring in Penang"]),
        ("nobody knows", []),
    ],
)
def test_an_event_is_found_by_object_actor_and_request(log, page, term, names):
    assert found(page, q=term) == names


def test_a_certificate_finds_what_happened_to_it(page):
    made = factories.enrolled(now=timezone.now())
    told(OLGA, "the certificate", timezone.now(), certificate=made.certificate)
    assert "<bdi>the certificate</bdi>" in page(LIST, q=made.certificate.serial)


def test_a_search_stands_within_the_filters(log, page):
    assert found(page, q="olga", at__lt=day(3)) == ["campaign: Spring in Penang"]
    assert found(page, q="req-88bb", action__exact=AuditAction.RENEWAL_REFUSED.value) == ["MTR-1"]


def test_texts_are_looked_for_among_the_latest_events_only_and_dates_reach_further(log, page, monkeypatch):
    monkeypatch.setattr(search, "_LATEST", 1)
    monkeypatch.setattr(search, "_LATEST_OF_NO_DEVICE", 1)
    assert found(page, q="penang") == []
    assert found(page, q="penang", at__lt=day(8)) == ["campaign: Spring in Penang"]
    # What has an index is found however long ago it was.
    assert found(page, q="MTR-1") == ["MTR-1"]


def test_a_search_costs_a_constant_number_of_queries(log, page, django_assert_max_num_queries):
    with django_assert_max_num_queries(24) as few:
        page(LIST, q="MTR-1")
    device = log[1].device
    for _ in range(20):
        told(BOT, "MTR-1", timezone.now(), device=device)
    with django_assert_max_num_queries(len(few)):
        page(LIST, q="MTR-1")


def test_an_export_holds_what_is_listed(log, client, boss):
    client.force_login(boss)

    def exported(**asked: object) -> int:
        lines = b"".join(
            client.get(reverse("admin:inventory_auditevent_export", args=["csv"]), asked).streaming_content
        )
        return len(lines.decode().splitlines()) - 1

    assert exported(actor="olga", at__lt=day(1)) == 1
    assert exported(q="req-88bb") == 2
    assert exported(at__gte=day(8), at__lt=day(0)) == 2


def test_the_api_searches_the_same(log, client, boss):
    client.force_login(boss)
    rows = client.get("/api/v1/audit-events/", {"search": "penang"}).json()["results"]
    assert [row["object_name"] for row in rows] == ["campaign: Spring in Penang"]
    since = (timezone.now() - timedelta(days=5)).isoformat()
    assert client.get("/api/v1/audit-events/", {"search": "penang", "at_after": since}).json()["results"] == []


def test_people_of_some_fleets_find_what_happened_to_their_devices_only(log, client, viewer):
    viewer.all_fleets = False
    viewer.save()
    client.force_login(viewer)
    assert "<bdi>MTR-1</bdi></a>" not in client.get(LIST, {"q": "MTR-1"}).content.decode()
    viewer.fleet_memberships.create(fleet=factories.fleet())
    for term in ("MTR-1", "olga / nightly", "req-88bb"):
        text = client.get(LIST, {"q": term}).content.decode()
        assert "<bdi>MTR-1</bdi></a>" in text and "recipient: ops" not in text
