"""Cases on pages: from a revoked device to its case, and from there, by a second person, to a verdict."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from certportal.models import User
from inventory.admin.attention import needs
from inventory.models import Case, Certificate, Device
from tests import factories
from tests.factories import DAY


@pytest.fixture
def revoked(db) -> Device:
    found = factories.enrolled(factories.device("STOLEN-1"), expires_in=100 * DAY, now=timezone.now())
    Certificate.objects.update(state="revoked", revoked_at=timezone.now(), revocation_reason="keyCompromise")
    return found.device


@pytest.fixture
def second(db) -> User:
    return User.objects.create_superuser("second", password="a long enough password")


def open_case(client, device: Device, **values: str):
    data = {"finding": "<script>alert(1)</script> Found in a drawer.", "proposal": "cleared", **values}
    return client.post(reverse("admin:inventory_device_case", args=[device.pk]), data, follow=True)


def decide(client, case: Case, **buttons: str):
    return client.post(
        reverse("admin:inventory_case_decide", args=[case.pk]), {"note": "Seen.", **buttons}, follow=True
    )


def test_a_revoked_device_leads_to_its_case_and_a_second_person_to_its_end(page, client, revoked, second):
    assert "open a case" in page(reverse("admin:inventory_device_change", args=[revoked.pk]))
    text = open_case(client, revoked).content.decode()
    case = Case.objects.get()
    assert "You opened this case" in text and "agree" not in text
    assert "<script>alert" not in text and "Found in a drawer." in text
    assert [need.text for need in needs(timezone.now())][-1] == "1 case is open."
    assert "decide on its case" in page(reverse("admin:inventory_revokeddevice_changelist"))

    assert "You proposed this" in decide(client, case, agree="").content.decode()
    case.refresh_from_db()
    assert case.closed_at is None

    client.force_login(second)
    assert "Clear STOLEN-1" in client.get(reverse("admin:inventory_case_change", args=[case.pk])).content.decode()
    assert "The case is closed: cleared." in decide(client, case, agree="").content.decode()
    story = client.get(reverse("admin:inventory_device_change", args=[revoked.pk])).content.decode()
    assert re.search("Cleared by .*second.* on", story)
    assert "STOLEN-1" in client.get(reverse("admin:inventory_expireddevice_changelist")).content.decode()
    listed = client.get(reverse("admin:inventory_case_changelist"), {"state": "cleared"}).content.decode()
    assert "STOLEN-1" in listed and "1 case" in listed


def test_a_case_is_sent_back_by_its_other_button(page, client, revoked, second):
    open_case(client, revoked, proposal="retired")
    client.force_login(second)
    decide(client, Case.objects.get(), dismiss="")
    assert Case.objects.get().outcome == "dismissed"
    revoked.refresh_from_db()
    assert revoked.status == "in_service"
    assert "open a case" in client.get(reverse("admin:inventory_device_change", args=[revoked.pk])).content.decode()


@pytest.mark.parametrize("buttons", [{}, {"agree": "", "dismiss": ""}])
def test_without_one_clear_answer_nothing_is_decided(page, client, revoked, second, buttons):
    open_case(client, revoked)
    client.force_login(second)
    decide(client, Case.objects.get(), **buttons)
    assert Case.objects.waiting().count() == 1


def test_a_finding_and_a_proposal_are_needed(page, client, revoked):
    assert "This field is required" in open_case(client, revoked, finding=" ").content.decode()
    assert "This field is required" in open_case(client, revoked, proposal="").content.decode()
    assert not Case.objects.exists()


def test_who_may_not_open_or_decide_cannot(client, revoked, viewer, second):
    client.force_login(viewer)
    assert open_case(client, revoked).status_code == 403
    client.force_login(second)
    open_case(client, revoked)
    client.force_login(viewer)
    viewer.user_permissions.add(Permission.objects.get(codename="view_case"))
    assert decide(client, Case.objects.get(), agree="").status_code == 403
    page = client.get(reverse("admin:inventory_case_change", args=[Case.objects.get().pk])).content.decode()
    assert "waits for somebody who may decide" in page


def test_a_trusted_device_has_no_page_for_a_case(page, client):
    trusted = factories.enrolled(expires_in=100 * DAY, now=timezone.now()).device
    assert client.get(reverse("admin:inventory_device_case", args=[trusted.pk])).status_code == 404
    assert client.get(reverse("admin:inventory_device_case", args=[10**9])).status_code == 404


def told_at_the_top(client) -> str:
    return client.get(reverse("admin:dashboard_block", args=["needs"])).content.decode()


def test_an_open_case_is_a_need_of_those_only_who_may_decide_on_it(page, client, revoked, second, viewer):
    open_case(client, revoked)
    assert "case is open" not in told_at_the_top(client)  # of who opened it
    client.force_login(viewer)
    assert "case is open" not in told_at_the_top(client)
    client.force_login(second)
    assert "1 case is open." in told_at_the_top(client)
    viewer.user_permissions.add(Permission.objects.get(codename="decide_case"))
    client.force_login(viewer)
    assert "1 case is open." in told_at_the_top(client)


def test_the_need_leads_to_the_cases_that_it_counts_and_not_to_own_ones(page, client, revoked, second):
    open_case(client, revoked)
    listed = reverse("admin:inventory_case_changelist")
    assert "STOLEN-1" not in client.get(listed, {"state": "of_others"}).content.decode()
    client.force_login(second)
    assert "state=of_others" in told_at_the_top(client)
    assert "STOLEN-1" in client.get(listed, {"state": "of_others"}).content.decode()


def test_a_case_opened_by_a_service_account_is_its_owners_own(page, client, revoked, boss, second):
    boss.owner = second
    boss.save()
    open_case(client, revoked)
    client.force_login(second)
    assert "case is open" not in told_at_the_top(client)
