"""Freshness of CRLs, as the dashboard, the doctor and the sweep see it; and the jobs."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import run_checks
from django.utils import timezone
from rq import Queue

from inventory.audit.record import SYSTEM
from inventory.models import Alert, AlertPolicy, AppliesTo, RevocationReason
from revocation import crl_files, jobs
from revocation.freshness import freshness
from revocation.models import Crl, OcspSigner
from revocation.orders import Order, revoke
from revocation.publishing import publish
from revocation.scopes import Scope, scopes
from tests import factories
from tests.factories import NOW

STOLEN = Order(RevocationReason.KEY_COMPROMISE, SYSTEM)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def of(slug: str, shard: int | None, now=NOW):
    (line,) = [line for line in freshness(now) if (line.authority_slug, line.shard) == (slug, shard)]
    return line


def test_each_shard_and_the_whole_of_each_authority_has_a_line(django_assert_num_queries, db):
    factories.authority("sharded", crl_shards=2)
    with django_assert_num_queries(1):
        lines = freshness(NOW)
    assert [(line.authority_slug, line.shard) for line in lines] == [
        ("root", 0),
        ("root", None),
        ("sharded", 0),
        ("sharded", 1),
        ("sharded", None),
    ]
    assert all(line.number is None and line.late(NOW) for line in lines)


def test_the_latest_crl_counts(meter):
    for i in range(3):
        publish(meter.certificate.authority, 0, NOW + i * MINUTE)
    line = of("mfg-1", 0)
    assert (line.number, line.published_at, line.entries) == (3, NOW + 2 * MINUTE, 0)
    assert of("mfg-1", None).number is None


def test_a_crl_is_late_half_an_interval_after_the_next_was_due(meter):
    publish(meter.certificate.authority, 0, NOW)
    line = of("mfg-1", 0)
    assert not line.late(NOW + 1.5 * HOUR)
    assert line.late(NOW + 1.5 * HOUR + MINUTE)
    assert not line.expired(line.next_update - MINUTE)
    assert line.expired(line.next_update)


def test_a_revocation_that_waits_for_more_than_a_minute_is_late(meter):
    publish(meter.certificate.authority, 0, NOW)
    revoke(meter.certificate, STOLEN, NOW)
    line = of("mfg-1", 0)
    assert line.waiting_since == NOW
    assert not line.late(NOW + MINUTE)
    assert line.late(NOW + MINUTE + timedelta(seconds=1))


def test_an_authority_that_has_ended_publishes_no_more(meter):
    end = meter.certificate.authority.x509.not_valid_after_utc
    assert {line.authority_slug for line in freshness(end + HOUR)} == {"root"}


class TestSweep:
    @pytest.fixture
    def published(self, meter, queues):
        now = timezone.now()
        for authority in (meter.certificate.authority, factories.root()):
            for scope in scopes(authority):
                publish(authority, scope.shard, now)
        return meter

    def enqueued(self, queues: dict[str, Queue]) -> dict[str, list[Any]]:
        return {name: [tuple(job.args[:2]) for job in queue.jobs] for name, queue in queues.items()}

    def test_it_enqueues_nothing_while_everything_is_fresh(self, published, queues, django_assert_num_queries):
        with django_assert_num_queries(1):
            jobs.sweep_crls()
        assert self.enqueued(queues) == {"urgent": [], "default": []}

    def test_it_finds_the_revocation_whose_job_was_lost(self, published, queues):
        # Inside the test's transaction nothing is committed, so no job was ever enqueued.
        revoke(published.certificate, STOLEN, timezone.now())
        jobs.sweep_crls()
        assert [tuple(job.args[:2]) for job in queues["urgent"].jobs] == [("mfg-1", 0), ("mfg-1", None)]

    def test_it_finds_what_the_schedule_demands(self, published, queues, settings):
        settings.CRL_INTERVAL = timedelta(0)
        jobs.sweep_crls()
        assert len(queues["default"].jobs) == 4
        assert queues["urgent"].count == 0

    def test_it_finds_a_file_that_is_gone(self, published, queues):
        crl_files.path(Scope("root", None)).unlink()
        jobs.sweep_crls()
        assert [tuple(job.args[:2]) for job in queues["default"].jobs] == [("root", None)]

    def test_a_job_that_waits_in_the_queue_is_not_enqueued_again(self, published, queues):
        revoke(published.certificate, STOLEN, timezone.now())
        jobs.sweep_crls()
        jobs.sweep_crls()
        assert queues["urgent"].count == 2

    def test_a_job_that_has_begun_makes_room_for_the_next(self, published, queues):
        revoke(published.certificate, STOLEN, timezone.now())
        jobs.sweep_crls()
        jobs.publish_crl("mfg-1", 0, "urgent")
        revoke(factories.enrolled().certificate, STOLEN, timezone.now())
        jobs.sweep_crls()
        assert [tuple(job.args[:2]) for job in queues["urgent"].jobs] == [("mfg-1", 0), ("mfg-1", None), ("mfg-1", 0)]


def test_the_publication_job_publishes_only_what_is_due(meter, queues):
    revoke(meter.certificate, STOLEN, timezone.now())
    for _ in range(3):
        jobs.publish_crl("mfg-1", 0, "urgent")
    assert Crl.objects.get().entries == 1


class TestSigners:
    def test_each_authority_gets_one_signer(self, meter):
        jobs.renew_ocsp_signers()
        jobs.renew_ocsp_signers()
        assert sorted(OcspSigner.objects.values_list("authority__slug", flat=True)) == ["mfg-1", "root"]
        certificate = OcspSigner.objects.get(authority__slug="mfg-1").certificate
        assert certificate.purpose == "ocsp_signer"

    def test_an_authority_whose_key_is_away_does_not_stop_the_others(self, meter):
        authority = meter.certificate.authority
        authority.key_name = "away"
        authority.save(update_fields=["key_name"])
        jobs.renew_ocsp_signers()
        assert [signer.authority.slug for signer in OcspSigner.objects.all()] == ["root"]


def test_a_crl_lifetime_that_leaves_no_room_for_a_failure_is_refused_at_start(settings):
    settings.CRL_INTERVAL, settings.CRL_LIFETIME = timedelta(hours=4), timedelta(hours=6)
    (error,) = [message for message in run_checks() if message.id == "revocation.E001"]
    assert "6:00:00" in error.msg
    assert "4:00:00" in error.msg
    settings.CRL_LIFETIME = timedelta(hours=8)
    assert not [message for message in run_checks() if message.id == "revocation.E001"]


def test_a_late_crl_is_an_alert_an_ended_one_a_worse_one_and_a_fresh_one_none(db):
    authority = factories.authority()
    for shard in (0, None):
        for each in (factories.root(), authority):
            publish(each, shard, NOW)

    def reported(now) -> dict[str, int]:
        return {concern.about: concern.threshold for concern in jobs.concerns(freshness(now), now)}

    assert reported(NOW + HOUR) == {}
    everything = {str(scope) for each in (factories.root(), authority) for scope in scopes(each)}
    assert reported(NOW + 2 * HOUR) == dict.fromkeys(everything, 1)
    assert reported(NOW + 25 * HOUR) == dict.fromkeys(everything, 0)


def test_the_job_raises_an_alert_for_a_crl_that_was_never_published_and_settles_it(db):
    AlertPolicy.objects.create(name="own", applies_to=AppliesTo.PORTAL, thresholds=[])
    authority = factories.authority()
    jobs.report_late_crls()
    assert Alert.objects.open().filter(kind="crl", about="mfg-1/0").exists()
    for shard in (0, None):
        for each in (factories.root(), authority):
            publish(each, shard, timezone.now())
    jobs.report_late_crls()
    assert not Alert.objects.open().exists()
