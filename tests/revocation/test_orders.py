"""Orders: what is revoked, once, by whom, and what follows from it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django_rq.settings import QUEUES

from inventory.audit.record import Actor
from inventory.models import AuditAction, AuditEvent, Batch, Certificate, CertificateState, RevocationReason
from inventory.models.audit import ActorKind
from renewal import facts
from renewal.requests import Renewal
from revocation import orders
from revocation.models import PublicationRequest
from revocation.orders import AlreadyRevoked, CannotRevoke, Order, Raised, RevocationCount, Revoked, revoke, revoke_many
from tests import factories
from tests.factories import DAY, NOW
from tests.parallel import until_blocked
from tests.revocation.issuers import own_certificate

OPERATOR = Actor(ActorKind.USER, "mei", "192.0.2.7")
STOLEN = Order(RevocationReason.KEY_COMPROMISE, OPERATOR, note="meter stolen in Ipoh")


def requested() -> set[tuple[str, int | None]]:
    return set(PublicationRequest.objects.values_list("authority__slug", "shard"))


def test_a_certificate_is_revoked_with_reason_audit_event_and_publication_request(meter, django_assert_num_queries):
    certificate = Certificate.objects.select_related("authority", "device").get(pk=meter.certificate.pk)

    # savepoint, UPDATE, audit event, publication requests, release
    with django_assert_num_queries(6):  # one of them asks who else has the key that leaked
        result = revoke(certificate, STOLEN, NOW)

    assert result == Revoked(NOW, RevocationReason.KEY_COMPROMISE)
    certificate.refresh_from_db()
    assert (certificate.state, certificate.revoked_at) == (CertificateState.REVOKED, NOW)
    assert certificate.revocation_reason == RevocationReason.KEY_COMPROMISE
    event = AuditEvent.objects.get(action=AuditAction.CERTIFICATE_REVOKED)
    assert (event.actor, event.source_address, event.certificate) == ("mei", "192.0.2.7", certificate)
    assert event.device == meter.device
    assert event.details == {
        "serial": certificate.serial,
        "issuer": "mfg-1",
        "reason": "keyCompromise",
        "note": "meter stolen in Ipoh",
    }
    assert requested() == {("mfg-1", 0), ("mfg-1", None)}


def test_a_second_order_changes_nothing_and_says_so(meter):
    revoke(meter.certificate, STOLEN, NOW)

    later = revoke(meter.certificate, Order(RevocationReason.SUPERSEDED, OPERATOR), NOW + DAY)

    assert later == AlreadyRevoked(NOW, RevocationReason.KEY_COMPROMISE)
    meter.certificate.refresh_from_db()
    assert meter.certificate.revocation_reason == RevocationReason.KEY_COMPROMISE
    assert AuditEvent.objects.filter(action=AuditAction.CERTIFICATE_REVOKED).count() == 1
    assert PublicationRequest.objects.count() == 2


def test_a_compromise_that_becomes_known_later_raises_the_reason_and_leaves_the_date(meter):
    revoke(meter.certificate, Order(RevocationReason.SUPERSEDED, OPERATOR), NOW)
    PublicationRequest.objects.all().delete()

    assert revoke(meter.certificate, STOLEN, NOW + DAY) == Raised(NOW, RevocationReason.SUPERSEDED)

    meter.certificate.refresh_from_db()
    assert (meter.certificate.revocation_reason, meter.certificate.revoked_at) == ("keyCompromise", NOW)
    event = AuditEvent.objects.get(action=AuditAction.REVOCATION_RAISED)
    assert (event.at, event.details["reason"], event.details["reason_before"]) == (
        NOW + DAY,
        "keyCompromise",
        "superseded",
    )
    assert requested() == {("mfg-1", 0), ("mfg-1", None)}


@pytest.mark.parametrize("reason", [RevocationReason.SUPERSEDED, RevocationReason.CA_COMPROMISE])
def test_no_other_order_changes_a_known_compromise(meter, reason):
    revoke(meter.certificate, STOLEN, NOW)
    assert revoke(meter.certificate, Order(reason, OPERATOR), NOW + DAY) == AlreadyRevoked(
        NOW, RevocationReason.KEY_COMPROMISE
    )


def test_a_compromise_of_many_raises_those_revoked_for_less_and_revokes_the_others(db):
    batch = Batch.objects.create(fleet=factories.fleet(), name="2027-W09")
    before, compromised, _standing = (factories.enrolled(factories.device(batch=batch)).certificate for _ in range(3))
    revoke(before, Order(RevocationReason.CESSATION_OF_OPERATION, OPERATOR), NOW)
    revoke(compromised, STOLEN, NOW)

    count = revoke_many(orders.unexpired_of_batch(batch, NOW), STOLEN, NOW + DAY, batch_size=2)

    assert count == RevocationCount(revoked=1, already_revoked=1, raised=1)
    assert set(Certificate.objects.filter(device__batch=batch).values_list("revocation_reason", flat=True)) == {
        "keyCompromise"
    }
    assert AuditEvent.objects.filter(action=AuditAction.REVOCATION_RAISED).count() == 1


def test_many_are_walked_by_key_and_not_read_again_from_the_top(db, django_assert_num_queries):
    batch = Batch.objects.create(fleet=factories.fleet(), name="2027-W09")
    for _ in range(5):
        factories.enrolled(factories.device(batch=batch))
    with django_assert_num_queries(25) as asked:
        revoke_many(orders.unexpired_of_batch(batch, NOW), STOLEN, NOW, batch_size=2)
    looks = [query["sql"] for query in asked if "FOR NO KEY UPDATE" in query["sql"]]
    # Three batches, each below the one before; then one walk from the top that finds nothing.
    assert ['"inventory_certificate"."id" < ' in look for look in looks] == [False, True, True, False]


def test_a_root_cannot_be_revoked(meter):
    root = own_certificate("root")

    result = revoke(root, STOLEN, NOW)

    assert isinstance(result, CannotRevoke)
    assert "trust stores" in str(result.text)
    root.refresh_from_db()
    assert root.state != CertificateState.REVOKED
    assert revoke_many(Certificate.objects.filter(pk=root.pk), STOLEN, NOW) == RevocationCount(0, 0)


def test_revoking_an_issuing_authority_asks_for_the_crl_of_its_issuer(meter):
    revoke(own_certificate("mfg-1"), Order(RevocationReason.CA_COMPROMISE, OPERATOR), NOW)
    assert requested() == {("root", 0), ("root", None)}


@pytest.mark.django_db(transaction=True)
def test_exactly_the_shard_is_enqueued_and_only_after_the_commit(queues):
    authority = factories.authority("sharded", crl_shards=16)
    device = factories.device(fleet=factories.fleet("sharded", authority=authority))
    certificate = factories.enrolled(device).certificate

    with transaction.atomic():
        revoke(certificate, STOLEN, NOW)
        assert queues["urgent"].count == 0

    (job,) = queues["urgent"].jobs
    assert (job.func_name, [*job.args]) == ("revocation.jobs.publish_crl", ["sharded", certificate.crl_shard, "urgent"])


@pytest.mark.django_db(transaction=True)
def test_an_order_that_is_rolled_back_enqueues_nothing(queues, meter):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        revoke(meter.certificate, STOLEN, NOW)
        _ = 1 / 0

    assert queues["urgent"].count == 0
    assert not PublicationRequest.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_many_revocations_in_one_shard_make_one_job(queues):
    meters = [factories.enrolled() for _ in range(20)]

    for each in meters:
        revoke(each.certificate, STOLEN, NOW)

    assert queues["urgent"].count == 1


@pytest.mark.django_db(transaction=True)
def test_a_revocation_stands_although_the_queue_cannot_be_reached(meter, monkeypatch, caplog):
    monkeypatch.setitem(QUEUES["urgent"], "URL", "unix:///nonexistent/valkey.sock")

    assert isinstance(revoke(meter.certificate, STOLEN, NOW), Revoked)

    assert requested() == {("mfg-1", 0), ("mfg-1", None)}
    assert "wake_worker in on_commit()" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_of_parallel_orders_exactly_one_revokes():
    certificate = factories.enrolled().certificate
    certificate = Certificate.objects.select_related("authority", "device").get(pk=certificate.pk)

    def order(number: int):
        try:
            return revoke(certificate, Order(RevocationReason.SUPERSEDED, OPERATOR), NOW + timedelta(seconds=number))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(order, range(16)))

    (done,) = [result for result in results if isinstance(result, Revoked)]
    assert all(result == AlreadyRevoked(done.at, done.reason) for result in results if result is not done)
    assert AuditEvent.objects.filter(action=AuditAction.CERTIFICATE_REVOKED).count() == 1


def test_all_unexpired_certificates_of_a_device_are_revoked(meter):
    device = meter.device
    expired = factories.enrolled(device, expires_in=-10 * DAY).certificate
    renewed = factories.enrolled(device, expires_in=300 * DAY).certificate
    other = factories.enrolled().certificate
    revoke(renewed, STOLEN, NOW - DAY)

    count = revoke_many(orders.unexpired_of_device(device, NOW), STOLEN, NOW)

    assert count == RevocationCount(revoked=1, already_revoked=1)
    states = dict(Certificate.objects.values_list("pk", "state"))
    assert states[meter.certificate.pk] == states[renewed.pk] == CertificateState.REVOKED
    assert CertificateState.REVOKED not in {states[expired.pk], states[other.pk]}


def test_a_batch_is_revoked_in_a_fixed_number_of_statements(db, django_assert_num_queries):
    batch = Batch.objects.create(fleet=factories.fleet(), name="2027-W09")
    for _ in range(12):
        factories.enrolled(factories.device(batch=batch))

    # count; savepoint, SELECT, UPDATE, audit events, requests, release; and the last look with its savepoint
    with django_assert_num_queries(11):
        count = revoke_many(orders.unexpired_of_batch(batch, NOW), STOLEN, NOW)

    assert count == RevocationCount(12, 0)
    assert AuditEvent.objects.filter(action=AuditAction.CERTIFICATE_REVOKED).count() == 12
    assert PublicationRequest.objects.count() == 2
    assert revoke_many(orders.unexpired_of_batch(batch, NOW), STOLEN, NOW) == RevocationCount(0, 12)


def test_a_batch_larger_than_one_transaction_is_revoked_whole(db):
    batch = Batch.objects.create(fleet=factories.fleet(), name="2027-W09")
    for _ in range(10):
        factories.enrolled(factories.device(batch=batch))
    hit = orders.unexpired_of_batch(batch, NOW)
    assert revoke_many(hit, STOLEN, NOW, batch_size=4) == RevocationCount(10, 0)


@pytest.mark.django_db(transaction=True)
def test_a_renewal_under_way_does_not_escape_the_revocation_of_its_device():
    enrolled = factories.enrolled()
    request = factories.certification_request(factories.key(), enrolled.certificate.x509.subject)

    def revoke_the_device():
        try:
            return revoke_many(orders.unexpired_of_device(enrolled.device, NOW), STOLEN, NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            requests = [Renewal(enrolled.der, request)]
            assert facts.read(facts.find(requests, NOW), requests, NOW)
            revocation = pool.submit(revoke_the_device)
            until_blocked()
            factories.enrolled(enrolled.device, expires_in=300 * DAY, used=False)
        assert revocation.result(timeout=60) == RevocationCount(2, 0)
    assert not Certificate.objects.filter(device=enrolled.device).exclude(state=CertificateState.REVOKED).exists()


def test_what_falls_with_an_authority_is_counted_through_all_levels(meter):
    factories.enrolled()
    below_root = orders.unexpired_below(factories.root(), NOW)
    below_issuing = orders.unexpired_below(factories.authority(), NOW)
    assert below_issuing.count() == 2
    assert below_root.count() == 4  # and both authorities' own
