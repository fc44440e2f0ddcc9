"""The page "Work": each queue with exactly the rows that its list holds, for who may see them."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from certportal.dashboard import work
from certportal.models import User
from inventory.audit.record import SYSTEM
from inventory.models import FleetMembership
from renewal.campaigns import planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.planning import Plan
from tests import factories
from tests.factories import DAY


@pytest.fixture
def full_portal(small_fleet):
    now = timezone.now()
    planning.plan(Plan("Spring", Selection(small_fleet, now, now + 100 * DAY), now + 30 * DAY), now=now, actor=SYSTEM)
    return small_fleet


def counts(text: str) -> dict[str, tuple[str, str]]:
    rows = re.findall(r'<td class="number[^"]*"><a href="([^"]+)">([^<]+)</a></td>\s*<td><a [^>]+>([^<]+)<', text)
    return {name: (count, address) for address, count, name in rows}


def test_each_count_leads_to_exactly_its_rows(full_portal, page):
    shown = counts(page(reverse("admin:work")))
    assert shown["Expired devices"][0] == "1"
    assert shown["Revoked devices"][0] == "1"
    assert shown["Planned campaigns"][0] == "1"
    for name, (count, address) in shown.items():
        rows = re.findall(r"<tr><t[hd]", page(address.replace("&amp;", "&")).partition('id="result_list"')[2])
        assert len(rows) == int(count), (name, address)


def test_who_may_see_nothing_is_told_who_gives_roles(client, db):
    client.force_login(User.objects.create_user("new", is_staff=True))
    text = client.get(reverse("admin:work")).content.decode()
    assert "No queue is yours." in text


def test_of_other_fleets_nothing_is_counted(full_portal, viewer):
    User.objects.filter(pk=viewer.pk).update(all_fleets=False)
    other = factories.fleet(slug="other", name="Other")
    FleetMembership.objects.create(user=viewer, fleet=other)
    stranger = User.objects.get(pk=viewer.pk)
    queues = [queue for section in work.read(stranger, timezone.now()) for queue in section.queues]
    assert queues
    assert {queue.count for queue in queues} == {"0"}
    assert not any(queue.waits for queue in queues)


def test_it_takes_a_bounded_number_of_queries(full_portal, boss, django_assert_max_num_queries):
    with django_assert_max_num_queries(16):
        work.read(boss, timezone.now())
