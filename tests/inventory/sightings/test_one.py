"""Sightings: the first use of a certificate confirms it, supersedes the older ones, and happens once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import transaction

from inventory.audit.record import SYSTEM
from inventory.issuing.certificates import Admission, issue
from inventory.models import AuditAction, AuditEvent, Certificate, CertificateState, Device
from inventory.sightings import find_usable, record_sighting
from inventory.x509.csr import parse
from renewal import enrolling
from tests.factories import DAY, NOW, Enrolled, certification_request, enrolled
from tests.parallel import at_once, beside, until_blocked

SECOND = timedelta(seconds=1)


def successor(meter: Enrolled) -> Certificate:
    rules = meter.device.fleet
    admission = Admission(
        meter.device, rules.profile, rules.authority, certification_request(), SYSTEM, meter.certificate
    )
    return issue(admission, NOW)


def see(certificate: Certificate, meter: Enrolled, *, now=NOW) -> bool:
    return record_sighting(certificate, meter.device, now=now, actor=SYSTEM)


def state(certificate: Certificate) -> CertificateState:
    return CertificateState(Certificate.objects.values_list("state", flat=True).get(pk=certificate.pk))


def confirmations(certificate: Certificate) -> int:
    return AuditEvent.objects.filter(action=AuditAction.CERTIFICATE_CONFIRMED, certificate=certificate).count()


def test_the_first_use_confirms_and_the_second_only_shows_life(db):
    meter = enrolled(used=False)
    assert see(meter.certificate, meter)
    meter.certificate.refresh_from_db()
    assert (meter.certificate.state, meter.certificate.activated_at) == (CertificateState.CONFIRMED, NOW)
    assert not see(meter.certificate, meter, now=NOW + DAY)
    meter.device.refresh_from_db()
    assert meter.device.last_seen_at == NOW + DAY
    assert confirmations(meter.certificate) == 1


def test_a_stale_copy_of_the_row_does_not_confirm_twice(db):
    meter = enrolled(used=False)
    stale = Certificate.objects.get(pk=meter.certificate.pk)
    assert see(meter.certificate, meter)
    assert not see(stale, meter, now=NOW + DAY)
    assert confirmations(meter.certificate) == 1


def test_the_first_use_supersedes_older_certificates_and_no_newer_one(meter):
    used, newer = successor(meter), successor(meter)
    assert see(used, meter)
    assert [state(each) for each in (meter.certificate, used, newer)] == [
        CertificateState.SUPERSEDED,
        CertificateState.CONFIRMED,
        CertificateState.ISSUED,
    ]


def test_which_certificate_is_older_is_told_by_its_issue_and_not_by_its_row(meter):
    used, imported = successor(meter), successor(meter)
    Certificate.objects.filter(pk=imported.pk).update(issued_at=NOW - DAY)
    Certificate.objects.filter(pk=meter.certificate.pk).update(issued_at=NOW + DAY)
    assert see(used, meter)
    assert [state(each) for each in (meter.certificate, used, imported)] == [
        CertificateState.CONFIRMED,
        CertificateState.CONFIRMED,
        CertificateState.SUPERSEDED,
    ]


def test_a_revoked_certificate_is_neither_confirmed_nor_superseded(meter):
    revoked, used = successor(meter), successor(meter)
    Certificate.objects.filter(pk=revoked.pk).update(
        state=CertificateState.REVOKED, revoked_at=NOW, revocation_reason="keyCompromise"
    )
    assert not see(revoked, meter)
    assert see(used, meter)
    assert state(revoked) == CertificateState.REVOKED


def test_another_device_is_not_touched(meter):
    other = enrolled()
    see(successor(meter), meter)
    assert state(other.certificate) == CertificateState.CONFIRMED


def test_a_late_report_of_an_old_sighting_changes_nothing(meter):
    see(meter.certificate, meter, now=NOW)
    see(meter.certificate, meter, now=NOW - DAY)
    assert Device.objects.get(pk=meter.device.pk).last_seen_at == NOW


def test_a_certificate_is_usable_exactly_while_it_can_authenticate_its_device(meter):
    begin, end = meter.certificate.not_before, meter.certificate.not_after
    moments = [begin - SECOND, begin, end, end + SECOND]
    assert [find_usable(meter.sha256, moment) is not None for moment in moments] == [False, True, True, False]
    assert find_usable(bytes(32), NOW) is None
    issuer = meter.device.fleet.authority.certificate
    assert find_usable(bytes(issuer.sha256), NOW) is None
    Certificate.objects.filter(pk=issuer.pk).update(
        state=CertificateState.REVOKED, revoked_at=NOW, revocation_reason="cACompromise"
    )
    assert find_usable(meter.sha256, NOW) is None


@pytest.mark.django_db(transaction=True)
def test_of_twenty_first_uses_at_once_one_confirms():
    meter = enrolled(used=False)

    def use() -> bool:
        return see(Certificate.objects.get(pk=meter.certificate.pk), meter)

    assert sorted(at_once([use] * 20)) == [False] * 19 + [True]
    assert confirmations(meter.certificate) == 1


@pytest.mark.django_db(transaction=True)
def test_a_device_that_uses_its_new_certificate_and_renews_by_its_old_one_at_once_is_answered_twice():
    # A retry after a lost answer does that. Both need the rows of both certificates and of the device.
    meter = enrolled(used=False)
    new = successor(meter)
    request = parse(meter.renewal_request())
    with ThreadPoolExecutor(1) as threads, transaction.atomic():
        # The newest first, as gate and sightings lock them.
        Certificate.objects.select_for_update(no_key=True).get(pk=new.pk)
        using = beside(threads, lambda: see(new, meter))
        until_blocked()
        renewed = enrolling.renew(meter.der, request, label="demo", now=NOW, source_address=None)
    assert isinstance(renewed, Certificate)
    assert using.result(timeout=60)
    assert [state(each) for each in (meter.certificate, new, renewed)] == [
        CertificateState.SUPERSEDED,
        CertificateState.CONFIRMED,
        CertificateState.ISSUED,
    ]
