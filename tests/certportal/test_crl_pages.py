"""The pages of published CRLs: is it in, what replaced it, and the file itself."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from inventory.audit.record import SYSTEM
from inventory.models import RevocationReason
from revocation import crl_files
from revocation.admin import crl as crl_admin
from revocation.models import Crl
from revocation.orders import Order, revoke
from revocation.publishing import publish
from revocation.scopes import Scope
from tests import factories
from tests.factories import DAY

LIST = "/admin/revocation/crl/"
STOLEN = Order(RevocationReason.KEY_COMPROMISE, SYSTEM)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def own_home(settings, tmp_path):
    settings.HOME = tmp_path


@pytest.fixture
def stolen(own_home, db):
    """A device whose certificate is revoked, now: pages read the clock."""
    made = factories.enrolled(now=timezone.now())
    revoke(made.certificate, STOLEN, timezone.now())
    return made


def published(enrolled, shard: int | None = 0, *, ago: timedelta = timedelta(0)) -> Crl:
    return publish(enrolled.certificate.authority, shard, timezone.now() - ago)


def address(row: Crl) -> str:
    return reverse("admin:revocation_crl_change", args=[row.pk])


@pytest.mark.parametrize("spelled", ["{0}", "{1}", "00{1}", "{2}"])
def test_a_serial_number_in_any_notation_is_answered_in_one_sentence(stolen, page, spelled):
    serial = stolen.certificate.serial
    pairs = serial.zfill(len(serial) + len(serial) % 2)
    colons = ":".join(pairs[at : at + 2] for at in range(0, len(pairs), 2)).upper()
    text = page(address(published(stolen)), serial=spelled.format(serial, colons, int(serial, 16)))
    assert "In this CRL: revoked" in text and "keyCompromise." in text
    assert reverse("admin:inventory_certificate_change", args=[stolen.certificate.pk]) in text


def test_what_is_not_in_is_answered_with_the_reason(stolen, page):
    good = factories.enrolled(now=timezone.now())
    row = published(stolen)
    late = factories.enrolled(now=timezone.now())
    revoke(late.certificate, STOLEN, timezone.now())
    other = published(
        factories.enrolled(factories.device(fleet=factories.fleet("o", authority=factories.authority("o"))))
    )

    def asked(row, serial):
        return " ".join(page(address(row), serial=serial).split())

    assert "Not in this CRL: the certificate was not revoked; it is" in asked(row, good.certificate.serial)
    assert "the next publication holds it" in asked(row, late.certificate.serial)
    assert "no certificate in the inventory has this serial number" in asked(row, "1234567")
    assert "That is no serial number" in asked(row, "meter 7")
    elsewhere = asked(other, stolen.certificate.serial)
    assert "the certificate is of another authority, <bdi>Test mfg-1</bdi>, whose CRL is" in elsewhere
    assert f"{address(row)}?serial={stolen.certificate.serial}" in elsewhere


def test_a_certificate_of_another_shard_leads_to_the_crl_of_that_one(db, page):
    sharded = factories.authority("sharded", crl_shards=4)
    made = factories.enrolled(factories.device(fleet=factories.fleet("sharded", authority=sharded)), now=timezone.now())
    made.certificate.crl_shard = 3
    made.certificate.save()
    row, theirs = published(made), published(made, 3)
    text = page(address(row), serial=made.certificate.serial)
    assert "the certificate belongs to shard 3" in text and f"{address(theirs)}?serial=" in text


def test_an_older_crl_leads_to_the_one_that_replaced_it(stolen, page):
    old, new = published(stolen, ago=HOUR), published(stolen)
    text = page(LIST)
    assert f'<a href="{address(new)}">superseded by number 2</a>' in text
    assert text.count(">current</span>") == 1
    assert f'<a href="{address(new)}">superseded by number 2</a>' in page(address(old))
    asked = page(address(old), serial=stolen.certificate.serial)
    assert "only what verifiers are served is kept" in asked
    assert f"{address(new)}?serial={stolen.certificate.serial}" in asked


def test_the_newest_crl_ends_when_nothing_newer_comes(stolen, page):
    row = published(stolen, ago=2 * DAY)
    assert ">ended</span>" in page(LIST) and ">ended</span>" in page(address(row))


def test_the_list_reads_a_constant_number_of_times(stolen, page, django_assert_max_num_queries):
    published(stolen)
    with django_assert_max_num_queries(9) as few:
        page(LIST)
    for number in range(5):
        published(stolen, None if number % 2 else 0)
    with django_assert_max_num_queries(len(few)):
        page(LIST)


def test_the_page_shows_where_verifiers_fetch_it_and_when_the_next_is_due(stolen, page):
    text = page(address(published(stolen)))
    assert Scope("mfg-1", 0).address in text and "/crl/mfg-1/0.crl" in text
    assert "next publication" in text and "in 59 min" in text
    assert "/crl/mfg-1/all.crl" in page(address(published(stolen, None)))


def test_entries_are_listed_up_to_a_bound_each_with_its_certificate(stolen, page, monkeypatch):
    monkeypatch.setattr(crl_admin, "_MOST_ENTRIES", 1)
    second = factories.enrolled(now=timezone.now())
    revoke(second.certificate, STOLEN, timezone.now())
    text = page(address(published(stolen)))
    shown = [made for made in (stolen, second) if f'<code title="{made.certificate.serial}">' in text]
    assert len(shown) == 1 and f"<bdi>{shown[0].device.serial}</bdi>" in text
    assert "1 more is found by its serial number above" in text


def test_a_crl_of_nothing_says_so(page):
    made = factories.enrolled(now=timezone.now())
    assert "nothing of this shard is revoked" in page(address(published(made)))


def test_the_file_is_downloaded_byte_for_byte_and_no_other_in_its_place(stolen, client, boss):
    client.force_login(boss)
    old = published(stolen, ago=HOUR)
    row = published(stolen)
    response = client.get(reverse("admin:revocation_crl_download", args=[row.pk]))
    assert b"".join(response.streaming_content) == crl_files.path(Scope("mfg-1", 0)).read_bytes()
    assert response["Content-Disposition"] == 'attachment; filename="mfg-1-0-2.crl"'
    assert client.get(reverse("admin:revocation_crl_download", args=[old.pk])).status_code == 404


def test_people_of_some_fleets_learn_nothing_of_the_certificates_of_others(stolen, client, viewer):
    viewer.all_fleets = False
    viewer.save()
    viewer.fleet_memberships.create(fleet=factories.fleet("theirs"))
    good = factories.enrolled(now=timezone.now())
    row = published(stolen)
    client.force_login(viewer)
    asked = client.get(address(row), {"serial": good.certificate.serial}).content.decode()
    assert "no certificate that you may see has this serial number" in asked
    asked = client.get(address(row), {"serial": stolen.certificate.serial}).content.decode()
    assert "In this CRL: revoked" in asked and stolen.device.serial not in asked


def test_without_its_file_the_page_still_opens(stolen, page):
    row = published(stolen)
    crl_files.path(Scope("mfg-1", 0)).unlink()
    assert "not in place on this machine" in page(address(row), serial=stolen.certificate.serial)
