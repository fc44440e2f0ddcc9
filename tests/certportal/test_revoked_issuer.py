"""A revoked authority, at whatever height, is heard wherever people and programs ask about what stands below it."""

from datetime import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from certportal.dashboard import needs, tiles
from certportal.dashboard.scope import Scope
from inventory.audit.record import SYSTEM
from inventory.counters.totals import standings
from inventory.devices.current_certificate import current
from inventory.devices.locked_out import Queue, count_up_to, in_queue, queue_of
from inventory.lists.row_counts import Count
from inventory.models import Authority, Certificate, CertificateStatus, Device, Fleet, RevocationReason
from inventory.x509.csr import parse
from renewal import enrolling
from renewal.campaigns import choosing, planning
from renewal.refusals import Refusal, RefusalCode
from revocation import orders
from tests import factories
from tests.factories import DAY, Enrolled, enrolled

STATUSES = ("valid", "expiring", "expired", "issuer_revoked", "revoked")


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def policy(db, now) -> Authority:
    """An authority above one that issues for the fleet `below`; the fleet `demo` is of another."""
    _top, middle, issuing = factories.chain_of_authorities("top", "policy", "issuing", now=now)
    factories.fleet("below", authority=issuing)
    factories.fleet()
    return middle


def in_fleet(slug: str, serial: str, now: datetime, **how) -> Enrolled:
    return enrolled(factories.device(serial, fleet=factories.fleet(slug)), now=now, **how)


@pytest.fixture
def meters(policy, now) -> dict[str, Enrolled]:
    return {
        "LIVE-1": in_fleet("below", "LIVE-1", now, expires_in=200 * DAY),
        "SOON-1": in_fleet("below", "SOON-1", now),
        "ENDED-1": in_fleet("below", "ENDED-1", now, expires_in=-DAY),
        "OTHER-1": in_fleet("demo", "OTHER-1", now),
        "OTHER-2": in_fleet("demo", "OTHER-2", now, expires_in=-DAY),
    }


def revoke(authority: Authority, now: datetime) -> None:
    assert authority.certificate is not None
    order = orders.Order(RevocationReason.CESSATION_OF_OPERATION, SYSTEM)
    assert isinstance(orders.revoke(authority.certificate, order, now), orders.Revoked)


BELOW = {"LIVE-1", "SOON-1", "ENDED-1"}


@pytest.fixture
def revoked(meters, policy, now) -> dict[str, Enrolled]:
    revoke(policy, now)
    return meters


def test_the_gate_the_row_and_the_query_say_the_same(revoked, now):
    shown = dict(Certificate.objects.of_devices().with_status(now).values_list("device__serial", "status"))
    in_python = {each.device.serial: each.status_at(now) for each in Certificate.objects.of_devices()}
    assert shown == in_python == dict.fromkeys(BELOW, "issuer_revoked") | {"OTHER-1": "expiring", "OTHER-2": "expired"}
    for serial in BELOW:
        meter = revoked[serial]
        answer = enrolling.renew(meter.der, parse(meter.renewal_request()), label=None, now=now, source_address=None)
        assert isinstance(answer, Refusal)
        assert answer.code == RefusalCode.ISSUER_REVOKED


def test_lists_filters_and_exports_of_the_api_say_it(revoked, page):
    api = "/api/v1/certificates/"
    listed = page.client.get(api, {"status": "issuer_revoked", "purpose": "device"}).json()["results"]
    assert {(row["device"]["serial"], row["status"]) for row in listed} == {(each, "issuer_revoked") for each in BELOW}
    for status, serials in {"valid": {"OTHER-1"}, "expiring": {"OTHER-1"}, "expired": {"OTHER-2"}}.items():
        found = page.client.get(api, {"status": status, "purpose": "device"}).json()["results"]
        assert {row["device"]["serial"] for row in found} == serials
    lines = page.client.get(f"{api}export.ndjson/", {"status": "issuer_revoked", "purpose": "device"})
    text = b"".join(lines.streaming_content).decode()
    assert text.count('"issuer_revoked"') == 3
    assert all(serial in text for serial in BELOW)


def test_lists_and_pages_of_the_admin_say_it(revoked, page):
    for model in ("certificate", "device"):
        of_devices = {"purpose__exact": "device"} if model == "certificate" else {}
        text = page(reverse(f"admin:inventory_{model}_changelist"), state="issuer_revoked", **of_devices)
        assert {serial for serial in revoked if serial in text} == BELOW
        assert text.count('<span class="state stopped">issuer revoked</span>') == 3
        assert "LIVE-1" not in page(reverse(f"admin:inventory_{model}_changelist"), state="valid")
    text = page(reverse("admin:inventory_device_change", args=[revoked["LIVE-1"].device.pk]))
    assert "The issuer of its certificate was revoked" in text
    assert "renewal opens" not in text
    assert "issuer revoked" in page(reverse("admin:inventory_authority_changelist"))


def test_where_no_authority_is_revoked_its_lists_are_empty(meters, page):
    for model in ("certificate", "device"):
        text = page(reverse(f"admin:inventory_{model}_changelist"), state="issuer_revoked")
        assert not any(serial in text for serial in meters)
    assert page.client.get("/api/v1/certificates/", {"status": "issuer_revoked"}).json()["results"] == []
    lines = page.client.get("/api/v1/certificates/export.ndjson/", {"status": "issuer_revoked"})
    assert b"".join(lines.streaming_content) == b""


def test_the_queue_of_revoked_devices_holds_them_with_their_own_next_step(revoked, page, now):
    assert {serial: queue_of(meter.device, now) for serial, meter in revoked.items()} == {
        **dict.fromkeys(BELOW, Queue.REVOKED), "OTHER-1": None, "OTHER-2": Queue.EXPIRED,
    }  # fmt: skip
    assert count_up_to(10, Queue.REVOKED, now) == Count(3, exact=True)
    assert count_up_to(10, Queue.EXPIRED, now) == Count(1, exact=True)
    text = page(reverse("admin:inventory_revokeddevice_changelist"))
    assert {serial for serial in revoked if serial in text} == BELOW
    assert text.count("enrol it anew under another authority") == 3
    assert text.count('<span class="state stopped">issuer revoked</span>') == 3


def test_a_device_that_has_a_certificate_of_another_authority_again_stands_in_no_queue(revoked, now):
    device = revoked["LIVE-1"].device
    device.fleet.authority = factories.authority()
    new = enrolled(device, now=now, expires_in=300 * DAY).certificate
    assert queue_of(device, now) is None
    assert current(Certificate.objects.filter(device=device), now) == new
    # Once that one has ended, the device needs a new one for this reason.
    assert queue_of(device, new.not_after + DAY) == Queue.EXPIRED


def test_of_two_certificates_the_one_of_a_trusted_issuer_counts(revoked, now):
    device = revoked["SOON-1"].device
    device.fleet.authority = factories.authority()
    older = enrolled(device, now=now, expires_in=20 * DAY, used=False).certificate
    assert current(Certificate.objects.filter(device=device), now) == older
    [shown] = in_queue(Device.objects.filter(pk=device.pk), Queue.REVOKED, older.not_after + DAY)
    assert shown == device


@pytest.mark.parametrize("fleet", [None, "below", "demo"])
def test_tiles_equal_their_lists(revoked, now, fleet):
    ids = None if fleet is None else [Fleet.objects.get(slug=fleet).pk]
    certificates = Certificate.objects.of_devices().of_fleets(ids)
    counted = standings(now, fleets=ids)
    expected = {each: certificates.of_status(CertificateStatus(each), now).count() for each in STATUSES}
    assert {each: getattr(counted, each) for each in STATUSES} == expected
    assert expected["issuer_revoked"] == {None: 3, "below": 3, "demo": 0}[fleet]


def test_no_campaign_is_planned_for_certificates_that_the_gate_would_not_renew(meters, policy, now):
    span = planning.Selection(meters["SOON-1"].device.fleet, now, now + 60 * DAY)
    assert [each.device for each in choosing.selected(span)] == [meters["SOON-1"].device]
    revoke(policy, now)
    assert not choosing.selected(span).exists()


def test_the_dashboard_shows_it_only_where_it_is_so(meters, policy, now):
    labels = [tile.label for tile in tiles.read(Scope(), now)]
    assert "issuer revoked" not in labels
    revoke(policy, now)
    [tile] = [tile for tile in tiles.read(Scope(), now) if tile.label == "issuer revoked"]
    assert (tile.count, "state=issuer_revoked" in tile.url) == (3, True)
    texts = [need.text for need in needs.read(Scope(), now, [], [])]
    assert "3 devices are cut off by revocations." in texts
    assert "2 devices stand on expired certificates." in texts


@pytest.mark.parametrize("model", ["certificate", "device", "revokeddevice", "authority"])
def test_a_page_asks_as_often_for_many_rows_as_for_few(revoked, page, now, model, django_assert_num_queries):
    address = reverse(f"admin:inventory_{model}_changelist")
    page(address)
    with CaptureQueriesContext(connection) as few:
        page(address)
    for number in range(10):
        in_fleet("below", f"MORE-{number}", now)
        factories.authority(f"more-{number}")
    with django_assert_num_queries(len(few)):
        page(address)
