"""What changed since yesterday: each number is that of its rows, and nothing that one may not see."""

from datetime import timedelta

import pytest
from django.utils import timezone

from certportal.dashboard import since_yesterday
from certportal.dashboard.scope import Scope
from inventory.audit.record import SYSTEM, event, record
from inventory.models import AuditAction, CliffNotice, Fleet
from revocation.freshness import Freshness
from tests import factories
from tests.certportal.dashboard.test_dashboard import rows_of
from tests.factories import DAY

pytestmark = pytest.mark.django_db


@pytest.fixture
def fleets() -> list[Fleet]:
    """Two fleets whose devices were renewed, one twice as often as the other, and some before yesterday."""
    now = timezone.now()
    made = [factories.fleet("north"), factories.fleet("south")]
    for number, fleet in enumerate(made, start=1):
        device = factories.device(fleet=fleet)
        happened = [
            *[(AuditAction.CERTIFICATE_RENEWED, timedelta(hours=1))] * (2 * number),
            (AuditAction.CERTIFICATE_REVOKED, timedelta(hours=23, minutes=58)),
            (AuditAction.CERTIFICATE_RENEWED, timedelta(hours=24, minutes=2)),
            (AuditAction.LOGIN_FAILED, timedelta(hours=1)),
        ]
        record(
            event(action, now=now - ago, actor=SYSTEM, object_name=device.serial, device=device)
            for action, ago in happened
        )
    return made


def told(scope: Scope, crls: list[Freshness] | None = None) -> dict[str, str]:
    return {change.text: change.url for change in since_yesterday.read(scope, timezone.now(), crls or [])}


def test_each_change_is_counted_once_and_leads_to_its_rows(fleets, page):
    found = told(Scope())
    assert [*found] == ["+6 renewed", "+2 revoked"]
    assert [rows_of(page(url)) for url in found.values()] == [6, 2]


def test_of_a_chosen_fleet_its_own_alone_and_the_list_says_which_it_is(fleets, page):
    north = fleets[0]
    found = told(Scope(fleet_id=north.pk))
    assert [*found] == ["+2 renewed", "+1 revoked"]
    text = page(found["+2 renewed"])
    assert rows_of(text) == 2
    assert f"fleet {north}" in text


def test_new_cliffs_lead_to_their_certificates_or_to_the_map(fleets):
    now = timezone.now()
    days = [(now + ahead * DAY).date() for ahead in (40, 50, 60)]
    for day, ago in zip(days, (2 * DAY, 0 * DAY, 0 * DAY), strict=True):
        CliffNotice.objects.create(fleet=fleets[0], day=day, count=9, noticed_at=now - ago, grew_at=now - ago)
    assert told(Scope())["2 new cliffs"] == "#map"
    CliffNotice.objects.filter(day=days[2]).delete()
    assert f"not_after__gte={days[1]}" in told(Scope(fleet_id=fleets[0].pk))["1 new cliff"]
    assert "cliff" not in " ".join(told(Scope(fleet_id=fleets[1].pk)))


def test_late_crls_are_told_and_fresh_ones_are_not(fleets):
    now = timezone.now()
    fresh = Freshness(1, "mfg-1", "Maker", 0, 7, now, now + DAY, 0, None)
    missing = Freshness(1, "mfg-1", "Maker", None, None, None, None, None, None)
    assert "1 CRL late" in told(Scope(), [fresh, missing])


def test_who_may_not_see_the_rows_is_not_told_of_them(fleets):
    assert told(Scope(may=lambda _permission: False)) == {}
    assert told(Scope(allowed=())) == {}


def test_a_quiet_day_says_so(db, page):
    assert since_yesterday.read(Scope(), timezone.now() + 2 * DAY, []) == []
    assert "Since yesterday" in page("/admin/")


def test_two_questions_whatever_happened(fleets, django_assert_num_queries):
    with django_assert_num_queries(2):
        told(Scope())
