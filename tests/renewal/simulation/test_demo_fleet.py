"""The demo fleet: a past that adds up, made through the product's own doors, the same picture for the same moment."""

import random
from collections import Counter
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.db import transaction
from django.db.models import Count, F
from django.db.models.functions import TruncDate

from inventory.models import AuditAction, AuditEvent, Certificate, CertificateState, Device, Fleet
from inventory.models.certificate import CertificateQuerySet
from renewal.board.funnel import funnels
from renewal.models import Campaign, CampaignState, Channel, Driver, Gateway, TargetState
from renewal.simulation import demo_fleet
from tests.factories import DAY, NOW, authority

pytestmark = pytest.mark.django_db
DEVICES = 600
NOON = NOW + timedelta(minutes=7, microseconds=123_456)


def plant(tmp_path, devices: int = DEVICES, *, now: datetime = NOON) -> Fleet:
    issuer = authority(now=NOW - 1900 * DAY)
    return demo_fleet.plant(devices, authority=issuer, home=tmp_path, now=now)


@pytest.fixture(scope="class")
def planted(class_db, tmp_path_factory) -> None:
    plant(tmp_path_factory.mktemp("demo"))


def standing() -> CertificateQuerySet:
    return Certificate.objects.of_devices().standing()


class TestTheWholeFleet:
    def test_counts_add_up_and_every_kind_of_fate_is_there(self, planted):
        assert Device.objects.count() == DEVICES
        certificates = Certificate.objects.of_devices()
        states = Counter(certificates.values_list("state", flat=True))
        renewals = certificates.filter(predecessor__isnull=False).count()
        assert sum(states.values()) == DEVICES + renewals
        assert states[CertificateState.REVOKED] == int(400 * 0.017)
        assert states[CertificateState.SUPERSEDED] == int(400 * 0.05)
        assert certificates.unconfirmed(NOON).count() == int(400 * 0.007)
        assert Device.objects.never_seen().count() == int(400 * 0.004)
        assert certificates.expired(NOON).count() == int(400 * 0.012)
        assert Counter(Device.objects.values_list("batch__name", flat=True)).keys() == {"B6", "B7"}
        assert Device.objects.values("site").distinct().count() == 3

    def test_its_sms_go_to_a_console_by_day_and_night(self, planted):
        gateway = Gateway.objects.serving(Channel.SMS, Fleet.objects.get().pk)
        assert (gateway.driver, gateway.quiet_hours) == (Driver.CONSOLE, None)

    def test_there_is_a_cliff_and_it_stands_out(self, planted):
        by_day = standing().annotate(day=TruncDate("not_after")).values_list("day").annotate(Count("pk")).order_by()
        (day, height), (_other, second) = Counter(dict(by_day)).most_common(2)
        assert day == (NOON + 81 * DAY).date()
        assert height >= int(400 * 0.12)
        assert height > 3 * second

    def test_every_act_of_the_past_is_in_the_audit_log_at_its_time(self, planted):
        counts = Counter(AuditEvent.objects.filter(device__isnull=False).values_list("action", flat=True))
        certificates = Certificate.objects.of_devices()
        assert counts[AuditAction.CERTIFICATE_ENROLLED] == DEVICES
        assert counts[AuditAction.CERTIFICATE_RENEWED] == certificates.filter(predecessor__isnull=False).count()
        assert counts[AuditAction.CERTIFICATE_CONFIRMED] == certificates.filter(activated_at__isnull=False).count()
        assert counts[AuditAction.CERTIFICATE_REVOKED] == certificates.revoked().count()
        assert not AuditEvent.objects.filter(at__gt=NOON).exists()
        assert not certificates.filter(issued_at__gt=NOON).exists()
        assert not certificates.filter(activated_at__lt=F("issued_at")).exists()

    def test_the_campaign_runs_over_exactly_what_is_soon_due(self, planted):
        campaign = Campaign.objects.get()
        assert campaign.state == CampaignState.RUNNING
        funnel = funnels([campaign])[campaign.pk]
        assert funnel.now[TargetState.PLANNED] == funnel.total
        # Live meters and silent ones; who was renewed is not asked again.
        assert funnel.total == 200 + int(400 * 0.02)


@pytest.mark.parametrize("devices", [1, 30, 199, 200, 201, 230])
def test_a_fleet_has_as_many_devices_as_were_asked_for(devices):
    fates = demo_fleet._fates(devices, random.Random(1))  # noqa: S311 - a picture
    assert len(fates) == devices
    live = [fate for fate in fates if fate.since is demo_fleet._Since.LIVE]
    assert sum(fate.batch == "B6" for fate in live) == min(devices, demo_fleet.LIVE)


@pytest.mark.parametrize(("devices", "live"), [(2000, 216), (100_000, 300)])
def test_meters_of_the_cliff_are_live_but_no_more_than_one_machine_can_run(devices, live):
    cliff = [fate for fate in demo_fleet._fates(devices, random.Random(1)) if fate.ends == 81 * DAY]  # noqa: S311
    assert len(cliff) == int((devices - demo_fleet.LIVE) * 0.12)
    assert sum(fate.since is demo_fleet._Since.LIVE for fate in cliff) == live


def picture() -> list[tuple]:
    """Return what the pages show, to the day; the renewals of the past weeks end in three years, with real jitter."""
    rows = Certificate.objects.of_devices().filter(predecessor=None).order_by("device__serial")
    return list(
        rows.annotate(day=TruncDate("not_after")).values_list(
            "device__serial",
            "device__site__name",
            "device__batch__name",
            "device__latitude",
            "device__presence__last_seen_at",
            "day",
            "state",
            "revoked_at",
        )
    )


def test_the_same_moment_gives_the_same_picture(tmp_path):
    pictures = []
    for home in ("first", "second"):
        with transaction.atomic():
            plant(tmp_path / home, 300)
            pictures.append(picture())
            transaction.set_rollback(True)
    assert pictures[0] == pictures[1]


def test_every_certificate_is_as_stored_and_verifies_under_its_authority(tmp_path):
    fleet = plant(tmp_path, 250)
    issuer = fleet.authority.x509
    for certificate in Certificate.objects.of_devices():
        certificate.x509.verify_directly_issued_by(issuer)
        assert certificate.x509.not_valid_after_utc == certificate.not_after <= issuer.not_valid_after_utc
        assert certificate.not_before >= issuer.not_valid_before_utc


def test_live_meters_have_the_key_of_their_certificate_for_their_owner_alone(tmp_path):
    plant(tmp_path, 20)
    meters = demo_fleet.live_meters(tmp_path)
    assert len(meters) == 20
    for meter in meters:
        own_key = load_pem_private_key(meter.flash.current.read_bytes(), None)
        assert own_key.public_key() == meter.flash.certificate().public_key()
        assert meter.flash.current.stat().st_mode & 0o077 == 0
        assert meter.flash.directory.stat().st_mode & 0o077 == 0
    mqtt_ids = Device.objects.values_list("mqtt_id", flat=True)
    assert {meter.mqtt_id for meter in meters} == set(mqtt_ids)


def test_a_fleet_that_cannot_be_planted_leaves_nothing(tmp_path):
    issuer = authority()
    (tmp_path / "demo").write_text("in the way")
    with pytest.raises(OSError, match="demo"):
        demo_fleet.plant(20, authority=issuer, home=tmp_path, now=NOON)
    assert not Fleet.objects.exists()
    assert not Device.objects.exists()


def test_planting_takes_statements_for_days_of_production_not_for_devices(tmp_path, django_assert_max_num_queries):
    with django_assert_max_num_queries(700):
        plant(tmp_path, 300)
