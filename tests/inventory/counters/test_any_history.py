"""Whatever happens to a fleet, in whatever order, with folds in between: the counters equal GROUP BY."""

import itertools
from datetime import timedelta

from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inventory.audit.record import SYSTEM
from inventory.counters.checking import differences
from inventory.counters.folding import fold
from inventory.counters.totals import standings
from inventory.issuing.certificates import Admission, issue_many
from inventory.models import Batch, Certificate, Device, RevocationReason, Site
from inventory.models.certificate import CertificateStatus
from inventory.sightings import record_sighting
from revocation import orders
from tests import factories
from tests.factories import DAY, NOW
from tests.inventory.counters.planting import execute, plant

_HOURS = st.integers(-200 * 24, 400 * 24).map(lambda hours: timedelta(hours=hours))
_request = factories.certification_request()


class History(RuleBasedStateMachine):
    """A fleet and all that may happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        self.keys = itertools.count()
        fleets = [factories.fleet(slug) for slug in ("meters", "pumps")]
        self.fleets = fleets
        self.sites = [[Site.objects.create(fleet=fleet, name=name) for name in ("Penang", "Johor")] for fleet in fleets]
        self.batches = [[Batch.objects.create(fleet=fleet, name="B7")] for fleet in fleets]
        self.profiles = [factories.profile("short", validity=90 * DAY), factories.profile("long", validity=800 * DAY)]
        self.devices = [factories.device(fleet=fleets[0])]
        self.now = NOW

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.savepoint.__exit__(None, None, None)

    def certificates(self) -> list[Certificate]:
        return list(Certificate.objects.of_devices().select_related("device", "authority").order_by("pk"))

    @rule(seen=st.booleans(), fleet=st.integers(0, 1))
    def register(self, seen: bool, fleet: int) -> None:
        device = factories.device(fleet=self.fleets[fleet])
        factories.note_last_seen({device: NOW if seen else None})
        self.devices.append(device)

    @rule(data=st.data(), profile=st.integers(0, 1), many=st.integers(1, 3))
    def issue(self, data, profile: int, many: int) -> None:
        devices = [data.draw(st.sampled_from(self.devices)) for _ in range(many)]
        admissions: list[Admission] = []
        for device in devices:
            held = list(Certificate.objects.standing().filter(device=device, renewals=None))
            predecessor = data.draw(st.sampled_from([None, *held]))
            taken = {admission.predecessor.pk for admission in admissions if admission.predecessor}
            predecessor = None if predecessor and predecessor.pk in taken else predecessor
            admissions.append(
                Admission(device, self.profiles[profile], factories.authority(), _request, SYSTEM, predecessor)
            )
        issue_many(admissions, self.now)

    @precondition(lambda self: Certificate.objects.of_devices().exists())
    @rule(data=st.data())
    def use(self, data) -> None:
        certificate = data.draw(st.sampled_from(self.certificates()))
        record_sighting(certificate, certificate.device, now=self.now, actor=SYSTEM)

    @precondition(lambda self: Certificate.objects.of_devices().exists())
    @rule(data=st.data(), many=st.booleans())
    def revoke(self, data, many: bool) -> None:
        certificate = data.draw(st.sampled_from(self.certificates()))
        order = orders.Order(RevocationReason.UNSPECIFIED, SYSTEM)
        if many:
            orders.revoke_many(Certificate.objects.filter(device=certificate.device), order, self.now, batch_size=2)
        else:
            orders.revoke(certificate, order, self.now)

    @rule(data=st.data(), site=st.integers(-1, 1), batch=st.integers(-1, 0), fleet=st.integers(0, 1))
    def move(self, data, site: int, batch: int, fleet: int) -> None:
        device = data.draw(st.sampled_from(self.devices))
        device.refresh_from_db()
        device.site = self.sites[fleet][site] if site >= 0 else None
        device.batch = self.batches[fleet][batch] if batch >= 0 else None
        device.fleet = self.fleets[fleet]
        device.save()

    @rule(data=st.data(), hours=st.none() | st.integers(0, 50))
    def be_seen(self, data, hours: int | None) -> None:
        """Be seen at whatever moment, earlier ones too; None is never, as SQL by hand may say."""
        devices = data.draw(st.sets(st.sampled_from(self.devices)))
        factories.note_last_seen(dict.fromkeys(devices, None if hours is None else NOW + timedelta(hours=hours)))

    @rule(fleet=st.integers(0, 1))
    def move_everything(self, fleet: int) -> None:
        Device.objects.update(fleet=self.fleets[fleet], site=None, batch=None)

    @rule(site=st.integers(0, 1), fleet=st.integers(0, 1))
    def move_all(self, site: int, fleet: int) -> None:
        Device.objects.filter(fleet=self.fleets[fleet]).update(site=self.sites[fleet][site])

    @precondition(lambda self: Certificate.objects.of_devices().exists())
    @rule(data=st.data(), count=st.integers(1, 20), ends=_HOURS)
    def bring_in(self, data, count: int, ends: timedelta) -> None:
        template = data.draw(st.sampled_from(self.certificates()))
        if NOW + ends > template.not_before:
            plant(template, count, not_after=NOW + ends)

    @rule()
    def delete_planted(self) -> None:
        execute(
            "DELETE FROM inventory_certificate WHERE device_id IN"
            " (SELECT id FROM inventory_device WHERE serial LIKE 'P%%' AND id %% 2 = 0)"
            " AND id NOT IN (SELECT certificate_id FROM inventory_auditevent WHERE certificate_id IS NOT NULL)"
            " AND id NOT IN (SELECT successor_id FROM inventory_certificate WHERE successor_id IS NOT NULL)"
            " AND id NOT IN (SELECT predecessor_id FROM inventory_certificate WHERE predecessor_id IS NOT NULL)"
        )

    @rule(data=st.data())
    def delete_a_device(self, data) -> None:
        device = data.draw(st.sampled_from(self.devices))
        if len(self.devices) > 1 and not Certificate.objects.filter(device=device).exists():
            self.devices.remove(device)
            execute("DELETE FROM inventory_device WHERE id = %s", device.pk)

    @rule(hours=st.integers(1, 100 * 24))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(batch=st.integers(1, 5))
    def fold_some(self, batch: int) -> None:
        fold(batch)

    @invariant()
    def counters_equal_group_by(self) -> None:
        assert differences() == []

    @invariant()
    def tiles_equal_their_lists(self) -> None:
        for fleet in (None, self.fleets[0].pk):
            certificates = Certificate.objects.of_devices()
            if fleet is not None:
                certificates = certificates.filter(device__fleet_id=fleet)
            found = standings(self.now, fleets=fleet and [fleet])
            for status in (
                CertificateStatus.VALID,
                CertificateStatus.EXPIRING,
                CertificateStatus.EXPIRED,
                CertificateStatus.REVOKED,
                CertificateStatus.UNCONFIRMED,
            ):
                assert getattr(found, status.value) == certificates.of_status(status, self.now).count(), status


class TestAnyHistory(TestCase):
    def test_counters_and_tiles_stay_true(self) -> None:
        from hypothesis.stateful import run_state_machine_as_test

        factories.authority()
        run_state_machine_as_test(
            History,
            settings=settings(
                max_examples=10,
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
