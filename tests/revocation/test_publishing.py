"""Publishing: what a verifier can fetch, after every fault."""

import hashlib
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from cryptography import x509
from django.db import connection, transaction

from inventory.audit.record import SYSTEM
from inventory.issuing.keys.software import KeyUnavailable
from inventory.models import AuditAction, AuditEvent, Authority, Certificate, RevocationReason
from revocation import crl_files
from revocation.models import Crl, PublicationRequest
from revocation.orders import Order, revoke
from revocation.publishing import publish, publish_if_due
from revocation.scopes import Scope
from tests import factories
from tests.factories import DAY, NOW

STOLEN = Order(RevocationReason.KEY_COMPROMISE, SYSTEM)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
SHARD = Scope("mfg-1", 0)
COMPLETE = Scope("mfg-1", None)


def served(scope: Scope = SHARD) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(crl_files.path(scope).read_bytes())


def serials(crl: x509.CertificateRevocationList) -> set[str]:
    return {f"{revoked.serial_number:x}" for revoked in crl}


def number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_a_revoked_certificate_is_in_the_next_crl_of_its_shard_and_in_the_complete_one(meter):
    revoke(meter.certificate, STOLEN, NOW)

    row = publish(meter.certificate.authority, 0, NOW)
    publish(meter.certificate.authority, None, NOW)

    shard, complete = served(), served(COMPLETE)
    assert serials(shard) == serials(complete) == {meter.certificate.serial}
    assert shard.is_signature_valid(meter.certificate.authority.x509.public_key())
    assert (shard.last_update_utc, shard.next_update_utc) == (NOW - HOUR, NOW + DAY)
    point = shard.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    assert point.critical
    certificate_point = meter.certificate.x509.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    # RFC 5280 5.2.5: identical to the certificate's distribution point, or verifiers ignore the CRL.
    assert point.value.full_name == certificate_point.value[0].full_name
    with pytest.raises(x509.ExtensionNotFound):
        complete.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    contents = crl_files.path(SHARD).read_bytes()
    assert (row.entries, row.size, bytes(row.sha256)) == (1, len(contents), hashlib.sha256(contents).digest())


def test_a_verifier_whose_clock_is_slow_accepts_a_crl_at_once_and_no_date_in_it_is_later_than_its_own(meter):
    revoke(meter.certificate, STOLEN, NOW)
    row = publish(meter.certificate.authority, 0, NOW)
    first = served()
    assert first.last_update_utc == row.this_update == NOW - HOUR
    assert [entry.revocation_date_utc for entry in first] == [NOW - HOUR]

    publish(meter.certificate.authority, 0, NOW + 2 * HOUR)

    second = served()
    assert [entry.revocation_date_utc for entry in second] == [NOW]
    assert (number(first), number(second)) == (1, 2)


def test_a_certificate_is_only_in_the_crl_of_its_own_shard(db):
    authority = factories.authority("sharded", crl_shards=3)
    fleet = factories.fleet("sharded", authority=authority)
    certificates = [factories.enrolled(factories.device(fleet=fleet)).certificate for _ in range(12)]
    for certificate in certificates:
        revoke(certificate, STOLEN, NOW)

    for shard in (0, 1, 2):
        publish(authority, shard, NOW)
        expected = {certificate.serial for certificate in certificates if certificate.crl_shard == shard}
        assert serials(served(Scope("sharded", shard))) == expected


def test_a_root_has_crls_too_and_names_the_revoked_authority(meter):
    revoke(meter.certificate.authority.certificate, Order(RevocationReason.CA_COMPROMISE, SYSTEM), NOW)
    publish(factories.root(), None, NOW)
    assert serials(served(Scope("root", None))) == {meter.certificate.authority.certificate.serial}


def test_numbers_rise_by_one_and_each_publication_is_audited(meter):
    authority = meter.certificate.authority
    assert [publish(authority, 0, NOW + i * SECOND).number for i in range(3)] == [1, 2, 3]
    assert publish(authority, None, NOW).number == 1
    events = AuditEvent.objects.filter(action=AuditAction.CRL_PUBLISHED).order_by("pk")
    assert [(event.object_name, event.details["number"]) for event in events] == [
        ("mfg-1/0.crl", 1),
        ("mfg-1/0.crl", 2),
        ("mfg-1/0.crl", 3),
        ("mfg-1/all.crl", 1),
    ]


def test_a_publication_reads_the_revoked_certificates_in_one_query(django_assert_num_queries, db):
    authority = factories.authority()
    for _ in range(5):
        revoke(factories.enrolled().certificate, STOLEN, NOW)
    authority.x509  # noqa: B018  (parsed before)

    # lock; BEGIN, delete requests, latest row, revoked certificates, row, audit event, COMMIT; unlock
    with django_assert_num_queries(9):
        publish(authority, 0, NOW)


class TestLeaving:
    """RFC 5280 3.3: an entry stays until it was in one CRL issued beyond the certificate's validity."""

    def test_an_expired_certificate_appears_once_more_and_then_leaves(self, meter):
        authority, ends = meter.certificate.authority, meter.certificate.not_after
        revoke(meter.certificate, STOLEN, NOW)
        publish(authority, 0, ends - HOUR)
        assert serials(served())

        # thisUpdate is back-dated: this one is not beyond the validity.
        publish(authority, 0, ends + HOUR)
        publish(authority, 0, ends + 2 * HOUR)
        assert serials(served()) == {meter.certificate.serial}
        publish(authority, 0, ends + 3 * HOUR)
        assert serials(served()) == set()

    def test_a_crl_that_was_signed_but_never_served_does_not_count(self, meter):
        authority, ends = meter.certificate.authority, meter.certificate.not_after
        revoke(meter.certificate, STOLEN, NOW)
        publish(authority, 0, ends - HOUR)
        before = crl_files.path(SHARD).read_bytes()
        publish(authority, 0, ends + HOUR)
        crl_files.path(SHARD).write_bytes(before)  # as a crash before the rename leaves it

        publish(authority, 0, ends + 2 * HOUR)

        assert serials(served()) == {meter.certificate.serial}

    def test_a_certificate_revoked_after_its_end_still_appears_once(self, meter):
        authority, ends = meter.certificate.authority, meter.certificate.not_after
        publish(authority, 0, ends + HOUR)
        revoke(meter.certificate, STOLEN, ends + 2 * HOUR)
        publish(authority, 0, ends + 4 * HOUR)
        assert serials(served()) == {meter.certificate.serial}
        publish(authority, 0, ends + 5 * HOUR)
        assert serials(served()) == set()


class TestDue:
    def test_a_scope_never_published_is_due(self, meter):
        assert publish_if_due(meter.certificate.authority, 0, NOW)

    def test_nothing_is_due_until_the_interval_is_over(self, meter, settings):
        authority = meter.certificate.authority
        publish(authority, 0, NOW)
        assert publish_if_due(authority, 0, NOW + settings.CRL_INTERVAL - SECOND) is None
        assert publish_if_due(authority, 0, NOW + settings.CRL_INTERVAL)

    def test_a_revocation_is_due_at_once_and_only_once(self, meter):
        authority = meter.certificate.authority
        publish(authority, 0, NOW)
        revoke(meter.certificate, STOLEN, NOW + SECOND)
        assert publish_if_due(authority, 0, NOW + SECOND)
        assert publish_if_due(authority, 0, NOW + SECOND) is None

    def test_a_missing_file_is_due(self, meter):
        authority = meter.certificate.authority
        publish(authority, 0, NOW)
        crl_files.path(SHARD).unlink()
        assert publish_if_due(authority, 0, NOW)
        assert number(served()) == 2

    def test_a_damaged_file_is_due(self, meter):
        authority = meter.certificate.authority
        publish(authority, 0, NOW)
        crl_files.path(SHARD).write_bytes(b"")
        assert publish_if_due(authority, 0, NOW)
        assert number(served()) == 2

    def test_a_crash_between_commit_and_rename_is_healed_under_the_next_number(self, meter):
        authority = meter.certificate.authority
        publish(authority, 0, NOW)
        before = crl_files.path(SHARD).read_bytes()
        publish(authority, 0, NOW)
        crl_files.path(SHARD).write_bytes(before)

        assert publish_if_due(authority, 0, NOW)

        assert number(served()) == 3

    def test_a_draft_that_a_crash_left_is_not_served_and_not_in_the_way(self, meter):
        authority = meter.certificate.authority
        publish(authority, 0, NOW)
        crl_files.path(SHARD).with_name(".0.crl.draft").write_bytes(b"half a CRL")
        assert number(served()) == 1
        publish(authority, 0, NOW)
        assert number(served()) == 2

    def test_a_database_restored_from_a_backup_goes_on_above_the_served_number(self, meter):
        authority = meter.certificate.authority
        for _ in range(3):
            publish(authority, 0, NOW)
        Crl.objects.filter(number__gt=1).delete()

        assert publish_if_due(authority, 0, NOW)

        assert number(served()) == 4


def test_a_failed_publication_keeps_the_old_crl_and_the_request(meter):
    authority = meter.certificate.authority
    publish(authority, 0, NOW)
    revoke(meter.certificate, STOLEN, NOW)
    Authority.objects.filter(pk=authority.pk).update(key_name="stolen-hsm")
    broken = Authority.objects.get(pk=authority.pk)

    with pytest.raises(KeyUnavailable):
        publish(broken, 0, NOW)

    assert number(served()) == 1
    assert Crl.objects.count() == 1
    assert PublicationRequest.objects.filter(shard=0).exists()
    authority = Authority.objects.get(pk=authority.pk)
    Authority.objects.filter(pk=authority.pk).update(key_name=meter.certificate.authority.key_name)
    assert publish_if_due(meter.certificate.authority, 0, NOW)
    assert number(served()) == 2


@pytest.mark.django_db(transaction=True)
def test_parallel_publishers_never_repeat_a_number_and_the_last_one_is_served():
    authority = factories.authority()

    def publish_one(_):
        try:
            return publish(Authority.objects.get(pk=authority.pk), 0, NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(publish_one, range(24)))

    assert sorted(row.number for row in rows) == list(range(1, 25))
    last = Crl.objects.of_scope(authority.pk, 0)[0]
    assert number(served()) == 24
    assert hashlib.sha256(crl_files.path(SHARD).read_bytes()).digest() == bytes(last.sha256)


@pytest.mark.django_db(transaction=True)
def test_a_revocation_that_commits_during_a_publication_is_published_by_the_next():
    enrolled = factories.enrolled()
    certificate = Certificate.objects.select_related("authority", "device").get(pk=enrolled.certificate.pk)
    authority = certificate.authority
    publish(authority, 0, NOW)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            revoke(certificate, STOLEN, NOW)
            # Signed while the revocation is not committed: it cannot know it, and must not forget it.
            pool.submit(_publish_elsewhere, authority.pk).result(timeout=60)
        assert serials(served()) == set()
    assert publish_if_due(authority, 0, NOW + SECOND)
    assert serials(served()) == {certificate.serial}


def _publish_elsewhere(authority_id: int) -> None:
    try:
        publish(Authority.objects.get(pk=authority_id), 0, NOW + SECOND)
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_publisher_killed_at_any_moment_never_serves_a_crl_without_its_row():
    authority = factories.authority()
    publish(authority, 0, NOW)
    seen: dict[int, bytes] = {}
    for delay in (0.01, 0.02, 0.03, 0.05, 0.08, 0.13, 0.02, 0.04):
        connection.close()
        child = os.fork()
        if child == 0:
            _publish_forever(authority.pk)
        _wait_for_two_more(seen)
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        _look(seen)
        # The database notices the broken session and lets go of its lock; the next publisher heals what is left.
        publish_if_due(authority, 0, NOW)
        _look(seen)

    rows = dict(Crl.objects.of_scope(authority.pk, 0).values_list("number", "sha256"))
    assert len(seen) > 16
    assert seen == {found: bytes(rows[found]) for found in seen}


def _publish_forever(authority_id: int) -> None:
    try:
        authority = Authority.objects.get(pk=authority_id)
        while True:
            publish(authority, 0, NOW)
    finally:
        os._exit(1)


def _wait_for_two_more(seen: dict[int, bytes]) -> None:
    known, deadline = len(seen), time.monotonic() + 60
    while len(seen) < known + 2 and time.monotonic() < deadline:
        _look(seen)


def _look(seen: dict[int, bytes]) -> None:
    contents = crl_files.path(SHARD).read_bytes()
    digest = hashlib.sha256(contents).digest()
    assert seen.setdefault(number(x509.load_der_x509_crl(contents)), digest) == digest
