"""A batch of sightings means what its sightings mean one by one, and says of each what became of it."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction

from inventory.audit.record import SYSTEM, Actor
from inventory.issuing.certificates import Admission, issue
from inventory.models import (
    AuditAction,
    AuditEvent,
    Certificate,
    CertificateState,
    Device,
    DevicePresence,
    DeviceStatus,
    RevocationReason,
    UnexpectedSighting,
)
from inventory.models.audit import ActorKind
from inventory.models.sighting import Oddity
from inventory.sightings import MOST_IN_A_BATCH, Sighting, SightingOutcome, record_sighting, record_sightings
from inventory.sightings.identifiers import DeviceSerial, Fingerprint, IssuerAndSerial, MqttId
from inventory.x509.csr import parse
from renewal import enrolling
from revocation.orders import Order, revoke, revoke_many
from tests.factories import DAY, NOW, Enrolled, certification_request, device, enrolled
from tests.parallel import at_once, beside, until_blocked

SECOND = timedelta(seconds=1)
GATEWAY = Actor(ActorKind.USER, "ops: gateway", "192.0.2.7")


def successor(meter: Enrolled) -> Certificate:
    rules = meter.device.fleet
    return issue(
        Admission(meter.device, rules.profile, rules.authority, certification_request(), SYSTEM, meter.certificate), NOW
    )


def seen(certificate: Certificate, at: datetime = NOW) -> Sighting:
    return Sighting(at, Fingerprint(bytes(certificate.sha256)))


def report(*batch: Sighting, now: datetime = NOW, actor: Actor = GATEWAY) -> list[SightingOutcome]:
    return [result.outcome for result in record_sightings(batch, now, actor)]


def reasons(*batch: Sighting, now: datetime = NOW) -> list[str]:
    return [result.reason for result in record_sightings(batch, now, GATEWAY)]


def states(*certificates: Certificate) -> list[str]:
    found = dict(Certificate.objects.filter(pk__in=[each.pk for each in certificates]).values_list("pk", "state"))
    return [found[each.pk] for each in certificates]


def last_seen(of: Enrolled) -> datetime | None:
    return Device.objects.get(pk=of.device.pk).last_seen_at


def order(reason: RevocationReason = RevocationReason.KEY_COMPROMISE) -> Order:
    return Order(reason, SYSTEM)


def test_the_first_use_confirms_supersedes_and_is_audited_once(meter):
    new = successor(meter)
    assert report(seen(new, NOW + SECOND), seen(new), now=NOW + DAY) == [
        SightingOutcome.SEEN,
        SightingOutcome.CONFIRMED,
    ]
    assert states(meter.certificate, new) == [CertificateState.SUPERSEDED, CertificateState.CONFIRMED]
    meter.certificate.refresh_from_db()
    new.refresh_from_db()
    assert (meter.certificate.successor, new.activated_at, last_seen(meter)) == (new, NOW, NOW + SECOND)
    [event] = AuditEvent.objects.filter(action=AuditAction.CERTIFICATE_CONFIRMED, certificate=new)
    assert (event.at, event.actor, event.source_address, event.device) == (
        NOW,
        "ops: gateway",
        "192.0.2.7",
        meter.device,
    )
    assert (event.object_name, event.details) == (new.subject, {"serial": new.serial, "superseded": 1})


def test_an_older_certificate_that_was_imported_later_is_superseded(meter):
    new, imported = successor(meter), successor(meter)
    Certificate.objects.filter(pk=imported.pk).update(issued_at=NOW - DAY)
    assert report(seen(new)) == [SightingOutcome.CONFIRMED]
    assert states(new, imported) == [CertificateState.CONFIRMED, CertificateState.SUPERSEDED]
    [event] = AuditEvent.objects.filter(action=AuditAction.CERTIFICATE_CONFIRMED, certificate=new)
    assert event.details["superseded"] == 2


def test_a_newer_certificate_that_was_here_first_stays_when_an_imported_one_is_used(meter):
    newer, imported = successor(meter), successor(meter)
    Certificate.objects.filter(pk=imported.pk).update(issued_at=NOW - DAY)
    Certificate.objects.filter(pk=meter.certificate.pk).update(issued_at=NOW - 2 * DAY)
    assert report(seen(imported), seen(newer, NOW + SECOND), now=NOW + DAY) == [SightingOutcome.CONFIRMED] * 2
    assert states(meter.certificate, imported, newer) == ["superseded", "superseded", "confirmed"]
    newer.refresh_from_db()
    assert {each.successor_id for each in newer.superseded.all()} | {newer.pk} == {newer.pk}


def test_told_again_a_batch_changes_nothing(meter):
    batch = [seen(successor(meter))]
    assert report(*batch) == [SightingOutcome.CONFIRMED]
    before = list(AuditEvent.objects.values_list("id"))
    assert report(*batch, now=NOW + DAY) == [SightingOutcome.OLDER]
    assert last_seen(meter) == NOW
    assert list(AuditEvent.objects.values_list("id")) == before


def test_newest_wins_within_a_batch_and_between_batches(meter):
    assert report(seen(meter.certificate, NOW - DAY), seen(meter.certificate), seen(meter.certificate, NOW - SECOND))
    assert last_seen(meter) == NOW
    assert report(seen(meter.certificate, NOW - SECOND)) == [SightingOutcome.OLDER]
    assert last_seen(meter) == NOW


def test_an_old_report_of_a_first_use_confirms_all_the_same(meter):
    new = successor(meter)
    report(seen(meter.certificate, NOW + DAY), now=NOW + DAY)
    assert report(seen(new, NOW + SECOND), now=NOW + DAY) == [SightingOutcome.CONFIRMED]
    assert last_seen(meter) == NOW + DAY


@pytest.mark.parametrize("ahead", [timedelta(minutes=5), timedelta(minutes=5, microseconds=1)])
def test_a_sighting_from_the_future_is_refused_beyond_what_clocks_differ(meter, ahead):
    new, other = successor(meter), enrolled()
    outcomes = report(seen(new, NOW + ahead), seen(other.certificate))
    if ahead > timedelta(minutes=5):
        assert outcomes == [SightingOutcome.REFUSED, SightingOutcome.SEEN]
        assert states(new) == [CertificateState.ISSUED]
        [reason] = reasons(seen(new, NOW + ahead))
        assert reason == (
            "The time of the sighting, 2027-03-01T12:05:00Z, lies in the future; it is 2027-03-01T12:00:00Z. "
            "Set the clock of the reporter."
        )
    else:
        assert outcomes == [SightingOutcome.CONFIRMED, SightingOutcome.SEEN]


def test_a_sighting_before_the_certificate_began_is_refused_and_after_its_end_confirms_nothing(meter):
    new = successor(meter)
    assert report(seen(new, new.not_before - SECOND)) == [SightingOutcome.REFUSED]
    assert report(seen(new, new.not_after + SECOND), now=new.not_after + DAY) == [SightingOutcome.SEEN]
    assert states(new) == [CertificateState.ISSUED]


def test_each_way_to_name_a_certificate_finds_it(meter):
    issuer, serial = meter.certificate.authority, meter.certificate.serial
    names = [
        Fingerprint(meter.sha256),
        IssuerAndSerial(issuer.slug, serial),
        IssuerAndSerial(issuer.certificate.subject, serial),
        # As OpenSSL may write it.
        IssuerAndSerial(issuer.certificate.subject.replace("T", "\\54", 1), serial),
        DeviceSerial("demo", meter.device.serial),
    ]
    for number, name in enumerate(names):
        assert report(Sighting(NOW + number * SECOND, name), now=NOW + DAY) == [SightingOutcome.SEEN], name
        assert last_seen(meter) == NOW + number * SECOND
    assert report(Sighting(NOW, IssuerAndSerial("root", serial))) == [SightingOutcome.UNKNOWN]


def test_a_device_that_is_named_without_a_certificate_confirms_none(meter):
    new = successor(meter)
    assert report(Sighting(NOW, DeviceSerial("demo", meter.device.serial))) == [SightingOutcome.SEEN]
    assert states(new) == [CertificateState.ISSUED]


def test_who_speaks_for_one_device_is_not_heard_about_another(meter):
    Device.objects.filter(pk=meter.device.pk).update(mqtt_id="meter-1")
    other = enrolled(device(mqtt_id="meter-2"), used=False)
    own, foreign = MqttId("demo", "meter-1"), MqttId("demo", "meter-2")
    batch = [
        Sighting(NOW, Fingerprint(other.sha256), only=own),
        Sighting(NOW, Fingerprint(other.sha256), only=foreign),
        Sighting(NOW, own, only=own),
    ]
    assert report(*batch) == [SightingOutcome.REFUSED, SightingOutcome.CONFIRMED, SightingOutcome.SEEN]


def test_the_portals_own_certificates_are_no_devices(meter):
    issuer = meter.certificate.authority.certificate
    assert reasons(seen(issuer)) == ["The certificate is the portal's own, of no device."]


def test_the_unknown_is_counted_once_a_reporter_and_audited_once(db):
    stranger, other = Sighting(NOW, Fingerprint(bytes(32))), Actor(ActorKind.SYSTEM, "broker")
    assert report(stranger, Sighting(NOW - DAY, stranger.name)) == [SightingOutcome.UNKNOWN, SightingOutcome.UNKNOWN]
    report(Sighting(NOW + DAY, stranger.name), now=NOW + DAY)
    report(stranger, actor=other)
    facts = UnexpectedSighting.objects.order_by("id").values_list(
        "oddity", "name", "source", "first_seen_at", "last_seen_at", "count"
    )
    name = f"sha256:{'00' * 32}"
    assert list(facts) == [
        (Oddity.UNKNOWN, name, "ops: gateway", NOW - DAY, NOW + DAY, 3),
        (Oddity.UNKNOWN, name, "broker", NOW, NOW, 1),
    ]
    events = AuditEvent.objects.filter(action=AuditAction.UNEXPECTED_SIGHTING).order_by("id")
    assert [(event.at, event.actor, event.object_name, event.details) for event in events] == [
        (NOW - DAY, "ops: gateway", name, {"oddity": "unknown", "source": "ops: gateway"}),
        (NOW, "broker", name, {"oddity": "unknown", "source": "broker"}),
    ]


def test_a_revoked_certificate_seen_alive_is_a_fact_and_no_proof_of_life(meter):
    before = last_seen(meter)
    revoke(meter.certificate, order(), NOW)
    assert report(seen(meter.certificate, NOW + SECOND)) == [SightingOutcome.REVOKED]
    [fact] = UnexpectedSighting.objects.all()
    assert (fact.oddity, fact.certificate, fact.device) == (Oddity.REVOKED, meter.certificate, meter.device)
    assert last_seen(meter) == before
    assert list(UnexpectedSighting.objects.seen_since(NOW)) == [fact]


def test_what_was_seen_before_the_revocation_and_is_told_after_it_was_in_order(meter):
    revoke(meter.certificate, order(), NOW)
    assert report(seen(meter.certificate, NOW - SECOND)) == [SightingOutcome.SEEN]
    assert not UnexpectedSighting.objects.exists()


def test_a_certificate_whose_issuer_was_revoked_is_revoked(meter):
    new = successor(meter)
    revoke(meter.certificate.authority.certificate, order(RevocationReason.CA_COMPROMISE), NOW)
    assert report(seen(new)) == [SightingOutcome.REVOKED]
    assert states(new) == [CertificateState.ISSUED]


def test_a_device_out_of_service_lives_and_is_odd(meter):
    Device.objects.filter(pk=meter.device.pk).update(status=DeviceStatus.RETIRED)
    assert report(seen(meter.certificate)) == [SightingOutcome.SEEN]
    assert last_seen(meter) == NOW
    assert UnexpectedSighting.objects.get().oddity == Oddity.OUT_OF_SERVICE


@pytest.mark.parametrize("seed", range(12))
def test_a_batch_in_any_order_means_what_its_sightings_mean_one_by_one_from_the_oldest(db, seed):
    draw = random.Random(seed)  # noqa: S311
    batch = []
    for meter in [enrolled() for _ in range(3)]:
        lineage = [meter.certificate, *(successor(meter) for _ in range(3))]
        chosen = draw.choices(lineage, k=draw.randrange(1, 6))
        batch += [seen(certificate, NOW + draw.randrange(9) * SECOND) for certificate in chosen]
    draw.shuffle(batch)

    with transaction.atomic():
        for sighting in sorted(batch, key=lambda each: (each.at, _key(each))):
            certificate = Certificate.objects.select_related("device").get(sha256=sighting.name.sha256)
            record_sighting(certificate, certificate.device, now=sighting.at, actor=SYSTEM)
        expected = _facts()
        transaction.set_rollback(True)
    record_sightings(batch, NOW + DAY, SYSTEM)
    assert _facts() == expected


def _key(sighting: Sighting) -> int:
    return Certificate.objects.values_list("pk", flat=True).get(sha256=sighting.name.sha256)


def _facts():
    certificates = Certificate.objects.order_by("id").values_list("id", "state", "activated_at", "successor_id")
    events = AuditEvent.objects.filter(action=AuditAction.CERTIFICATE_CONFIRMED)
    return (
        list(certificates),
        list(DevicePresence.objects.order_by("device").values_list("device", "last_seen_at")),
        sorted(events.values_list("certificate_id", "at", "details__superseded")),
    )


def test_the_number_of_statements_does_not_grow_with_the_batch(django_assert_max_num_queries, db):
    meters = [enrolled() for _ in range(4)]
    batch = [seen(successor(meter)) for meter in meters]
    batch += [Sighting(NOW, Fingerprint(bytes([number]) * 32)) for number in range(50)]
    with django_assert_max_num_queries(9):
        record_sightings(batch, NOW, SYSTEM)
    with django_assert_max_num_queries(4):
        record_sightings([seen(meter.certificate, NOW + SECOND) for meter in meters], NOW, SYSTEM)


def test_a_batch_has_a_limit_and_an_empty_one_costs_nothing(django_assert_num_queries, db):
    with django_assert_num_queries(0):
        assert record_sightings([], NOW, SYSTEM) == []
    with pytest.raises(ValueError, match="at most 10000"):
        record_sightings([Sighting(NOW, Fingerprint(bytes(32)))] * (MOST_IN_A_BATCH + 1), NOW, SYSTEM)


@pytest.mark.django_db(transaction=True)
def test_a_batch_and_a_renewal_by_the_old_certificate_at_once_are_both_answered():
    meter = enrolled(used=False)
    new = successor(meter)
    request = parse(meter.renewal_request())
    with ThreadPoolExecutor(1) as threads, transaction.atomic():
        # The newest first, as gate and sightings lock them.
        Certificate.objects.select_for_update(no_key=True).get(pk=new.pk)
        reporting = beside(threads, lambda: report(seen(new), seen(meter.certificate)))
        until_blocked()
        renewed = enrolling.renew(meter.der, request, label="demo", now=NOW, source_address=None)
    assert isinstance(renewed, Certificate)
    assert reporting.result(timeout=60)[0] == SightingOutcome.CONFIRMED
    assert states(new, renewed) == [CertificateState.CONFIRMED, CertificateState.ISSUED]


@pytest.mark.django_db(transaction=True)
def test_batches_renewals_and_revocations_at_once_end_without_a_deadlock():
    meters = [enrolled(used=number % 2 == 0) for number in range(12)]
    new = [successor(meter) for meter in meters]
    everything = [seen(each) for each in new] + [seen(meter.certificate) for meter in meters]

    def shuffled(seed: int) -> list[SightingOutcome]:
        outcomes: list[SightingOutcome] = []
        for round_ in range(8):
            batch = [Sighting(each.at + (seed + round_) * SECOND, each.name) for each in everything]
            random.Random(seed * 100 + round_).shuffle(batch)  # noqa: S311
            outcomes += report(*batch, now=NOW + DAY)
        return outcomes

    def renew() -> list[object]:
        requests = [(meter, parse(meter.renewal_request())) for meter in meters]
        return [
            enrolling.renew(meter.der, request, label="demo", now=NOW, source_address=None)
            for meter, request in requests
        ]

    def revoke_some() -> object:
        chosen = Certificate.objects.filter(device__in=[meter.device for meter in meters[:4]])
        return revoke_many(chosen, order(), NOW + DAY, batch_size=3)

    at_once([lambda: shuffled(1), lambda: shuffled(2), lambda: shuffled(3), renew, revoke_some])
    for certificate in new[4:]:
        assert states(certificate) == [CertificateState.CONFIRMED]
        confirmed = AuditEvent.objects.filter(action=AuditAction.CERTIFICATE_CONFIRMED, certificate=certificate)
        assert confirmed.count() == 1
    assert connection.is_usable()
