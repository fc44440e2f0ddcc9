"""The demo fleet: devices with real certificates, a history, and a future worth looking at.

Its past is made through the same door as any certificate, with the dates of then passed as `now`. Nothing of it needs
a clock: the same `now` and seed give the same picture.
"""

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import groupby
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import transaction
from django.db.models import F

from inventory.audit.record import SYSTEM, Actor, event, record
from inventory.issuing.certificates import Admission, issue_many
from inventory.models import (
    AuditAction,
    Authority,
    Batch,
    Certificate,
    CertificateState,
    Connectivity,
    Device,
    DevicePresence,
    Fleet,
    Profile,
    RevocationReason,
    Site,
)
from inventory.models.audit import ActorKind
from inventory.private_files import write_whole
from inventory.sightings import record_sighting
from inventory.x509.csr import parse
from inventory.x509.keys import KeyType
from renewal.campaigns import planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.ladder import Ladder, Rung
from renewal.campaigns.planning import Plan
from renewal.campaigns.settings import Pace, Settings
from renewal.models import Channel, Driver, Gateway
from renewal.simulation.live_devices import Meter
from renewal.simulation.virtual_device import Flash, key_pem
from revocation import orders

SLUG = "demo"
LIVE = 200
# Of the cliff: each takes a thread, so a large demo has no more.
_LIVE_ON_THE_CLIFF = 300
DAY = timedelta(days=1)
_WITHIN_A_DAY = timedelta(hours=23)
_SEED = 20260101
_VALIDITY = 3 * 365 * DAY
_CAMPAIGN_SPAN = 45 * DAY
_MINUTE = timedelta(minutes=1)
# Fast enough to watch: who is silent gets an SMS after three minutes, and is left to people after seven.
# Slow enough, too: with the SMS the fleet of 2,000 takes twenty minutes.
_TRIGGERS_A_MINUTE = 15
_RUNGS = (Rung(Channel.MQTT, 3 * _MINUTE, 1, 3 * _MINUTE), Rung(Channel.SMS, 2 * _MINUTE, 2, 2 * _MINUTE))
_LADDER = Ladder(dict.fromkeys(Connectivity, _RUNGS))
# (name, latitude, longitude, share of the fleet)
_SITES = [("Penang", 5.4141, 100.3288, 0.45), ("Johor", 1.4927, 103.7414, 0.35), ("Kuching", 1.5535, 110.3593, 0.20)]
_TIME_ZONE = "Asia/Kuala_Lumpur"


class _Since(StrEnum):
    """What happened to a device since it got its certificate."""

    LIVE = "a live virtual meter"
    IN_USE = "in use"
    SILENT = "in use, but nobody answers for it now"
    NEVER_SEEN = "never seen"
    RENEWED = "renewed, and the new certificate is in use"
    UNCONFIRMED = "renewed, and the new certificate not yet used"
    REVOKED = "revoked"


@dataclass(frozen=True)
class _Fate:
    """What becomes of one device: the batch it was made in, when its certificate ends, and what happened since."""

    batch: str
    ends: timedelta
    since: _Since


def _fates(devices: int, draw: random.Random) -> list[_Fate]:
    """Return `devices` fates: live meters soon due, a cliff, some lost ones, and a broad hill where jitter was used."""
    live = min(LIVE, devices)
    rest = devices - live

    def some(share: float, batch: str, since: _Since, first_day: float, last_day: float) -> list[_Fate]:
        return [
            _Fate(batch, timedelta(days=draw.uniform(first_day, last_day)), since) for _ in range(int(rest * share))
        ]

    cliff = some(0.12, "B7", _Since.IN_USE, 81, 81)
    fates = [
        *(_Fate("B6", timedelta(days=draw.uniform(2, 44)), _Since.LIVE) for _ in range(live)),
        # Made in one day with one validity: the incident that this portal exists to prevent.
        *(replace(fate, since=_Since.LIVE) for fate in cliff[:_LIVE_ON_THE_CLIFF]),
        *cliff[_LIVE_ON_THE_CLIFF:],
        *some(0.02, "B6", _Since.SILENT, 3, 44),
        *some(0.012, "B6", _Since.SILENT, -25, -1),
        *some(0.017, "B7", _Since.REVOKED, 20, 300),
        *some(0.007, "B6", _Since.UNCONFIRMED, 46, 80),
        *some(0.004, "B6", _Since.NEVER_SEEN, 100, 300),
        *some(0.05, "B6", _Since.RENEWED, 5, 40),
    ]
    hill = (draw.gauss(150, 25) if index % 3 else draw.uniform(46, 360) for index in range(devices - len(fates)))
    return [*fates, *(_Fate("B6", timedelta(days=max(days, 46)), _Since.IN_USE) for days in hill)]


@dataclass(frozen=True)
class _Planted:
    """A device as it was made, with the key that a live meter keeps."""

    device: Device
    fate: _Fate
    key: ec.EllipticCurvePrivateKey


def plant(devices: int, *, authority: Authority, home: Path, now: datetime) -> Fleet:
    """Make the fleet, its certificates and a planned campaign in one transaction; keys of live meters go to `home`."""
    draw = random.Random(_SEED)  # noqa: S311 - a picture, not a secret
    with transaction.atomic():
        fleet = _fleet(authority)
        _console_gateway(fleet)
        planted = _devices(fleet, _fates(devices, draw), draw, now)
        certificates = _issue(fleet, planted, now)
        _use(planted, certificates, draw, now)
        _renew(fleet, planted, certificates, draw, now)
        _revoke(planted, certificates, draw, now)
        if any(each.fate.since is _Since.LIVE for each in planted):
            _plan_campaign(fleet, now)
        _write_flash(home, planted, certificates)
    return fleet


def live_meters(home: Path) -> list[Meter]:
    """Return the live meters whose flash is in `home`."""
    directories = sorted(_flash_directory(home).glob("*/"))
    return [Meter(SLUG, _mqtt_id(directory.name), Flash(directory)) for directory in directories]


def _flash_directory(home: Path) -> Path:
    return home / "demo" / "devices"


def _mqtt_id(serial: str) -> str:
    return f"meter-{serial.lower()}"


def _fleet(authority: Authority) -> Fleet:
    rules = {
        "validity": _VALIDITY,
        "renewal_window": 90 * DAY,
        "subject_template": "CN={serial},O=Demo Grid",
        # SCEP needs RSA.
        "key_types": [KeyType.EC_P256, KeyType.RSA_2048],
    }
    profile = Profile.objects.create(slug="meter", name="Meter, 3 years + jitter", jitter_max=30 * DAY, **rules)
    Profile.objects.create(slug="meter-2023", name="Meter, 3 years, no real jitter", jitter_max=_WITHIN_A_DAY, **rules)
    return Fleet.objects.create(slug=SLUG, name="Demo meters", authority=authority, profile=profile)


def _console_gateway(fleet: Fleet) -> None:
    """SMS of the demo go to a page and a log."""
    Gateway.objects.create(
        name="Demo console",
        channel=Channel.SMS,
        driver=Driver.CONSOLE,
        fleet=fleet,
        enabled=True,
        daily_cap=1000,
        cost=Decimal("0.05"),
    )


def _devices(fleet: Fleet, fates: list[_Fate], draw: random.Random, now: datetime) -> list[_Planted]:
    sites = {name: Site.objects.create(fleet=fleet, name=name, time_zone=_TIME_ZONE) for name, *_ in _SITES}
    batches = {name: Batch.objects.create(fleet=fleet, name=name) for name in sorted({fate.batch for fate in fates})}
    shares = [share for *_, share in _SITES]
    planted = []
    for number, fate in enumerate(fates, start=1):
        name, latitude, longitude, _share = draw.choices(_SITES, shares)[0]
        serial = f"SM{number:06}"
        device = Device(
            fleet=fleet,
            serial=serial,
            batch=batches[fate.batch],
            site=sites[name],
            latitude=round(Decimal(latitude + draw.gauss(0, 0.05)), 6),
            longitude=round(Decimal(longitude + draw.gauss(0, 0.05)), 6),
            mqtt_id=_mqtt_id(serial),
            phone_number=f"+6011{number:08}",
            connectivity=Connectivity.INTERMITTENT if fate.since is _Since.SILENT else Connectivity.DAILY,
            registered_at=_issued_on(fate, now),
        )
        planted.append(_Planted(device, fate, ec.generate_private_key(ec.SECP256R1())))
    Device.objects.bulk_create([each.device for each in planted], batch_size=1000)
    return planted


def _issued_on(fate: _Fate, now: datetime) -> datetime:
    """Return the midnight at which the certificate was issued that ends on the day `fate.ends` from `now`."""
    return (now + fate.ends - _VALIDITY).replace(hour=0, minute=0, second=0, microsecond=0)


def _admission(
    each: _Planted, profile: Profile, key: ec.EllipticCurvePrivateKey, predecessor: Certificate | None = None
) -> Admission:
    der = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return Admission(
        each.device, profile, each.device.fleet.authority, parse(der.public_bytes(Encoding.DER)), SYSTEM, predecessor
    )


def _issue(fleet: Fleet, planted: list[_Planted], now: datetime) -> dict[int, Certificate]:
    """Issue every device its certificate, a day's production at a time. Return them by the device's id."""
    profile = Profile.objects.get(slug="meter-2023")
    certificates: dict[int, Certificate] = {}
    by_day = sorted(planted, key=lambda each: _issued_on(each.fate, now))
    for day, made in groupby(by_day, key=lambda each: _issued_on(each.fate, now)):
        line = list(made)
        issued = issue_many([_admission(each, profile, each.key) for each in line], day)
        certificates |= {each.device.pk: certificate for each, certificate in zip(line, issued, strict=True)}
    return certificates


def _use(planted: list[_Planted], certificates: dict[int, Certificate], draw: random.Random, now: datetime) -> None:
    """Let every device but the never seen have used its certificate the day after, and be seen now and then since."""
    used = [each for each in planted if each.fate.since is not _Since.NEVER_SEEN]
    seen = []
    for each in used:
        certificate = certificates[each.device.pk]
        certificate.state, certificate.activated_at = CertificateState.CONFIRMED, certificate.issued_at + DAY
        silence = timedelta(days=draw.uniform(26, 60)) if each.fate.since is _Since.SILENT else DAY * draw.random()
        seen.append(DevicePresence(device=each.device, last_seen_at=now - silence))
    Certificate.objects.filter(device__in=[each.device for each in used]).update(
        state=CertificateState.CONFIRMED, activated_at=F("issued_at") + DAY
    )
    DevicePresence.objects.bulk_update(seen, ["last_seen_at"], batch_size=500)
    record(
        event(
            AuditAction.CERTIFICATE_CONFIRMED,
            now=certificates[each.device.pk].issued_at + DAY,
            actor=Actor(ActorKind.DEVICE, each.device.serial),
            object_name=certificates[each.device.pk].subject,
            device=each.device,
            certificate=certificates[each.device.pk],
            details={"serial": certificates[each.device.pk].serial, "superseded": 0},
        )
        for each in used
    )


def _renew(
    fleet: Fleet, planted: list[_Planted], certificates: dict[int, Certificate], draw: random.Random, now: datetime
) -> None:
    """Renew some devices in the past weeks; those of one kind have not used the new certificate yet."""
    for each in planted:
        if each.fate.since not in (_Since.RENEWED, _Since.UNCONFIRMED):
            continue
        moment = now - DAY * draw.uniform(1, 40 if each.fate.since is _Since.RENEWED else 3)
        key = ec.generate_private_key(ec.SECP256R1())
        [renewed] = issue_many([_admission(each, fleet.profile, key, certificates[each.device.pk])], moment)
        if each.fate.since is _Since.RENEWED:
            actor = Actor(ActorKind.DEVICE, each.device.serial)
            record_sighting(renewed, each.device, now=moment + timedelta(minutes=5), actor=actor)


def _revoke(planted: list[_Planted], certificates: dict[int, Certificate], draw: random.Random, now: datetime) -> None:
    reasons = [RevocationReason.KEY_COMPROMISE, RevocationReason.CESSATION_OF_OPERATION]
    for each in planted:
        if each.fate.since is _Since.REVOKED:
            orders.revoke(
                certificates[each.device.pk],
                orders.Order(draw.choice(reasons), SYSTEM, note="Found in the yearly audit."),
                now - DAY * draw.uniform(1, 60),
            )


def _plan_campaign(fleet: Fleet, now: datetime) -> None:
    selection = Selection(fleet, now, now + _CAMPAIGN_SPAN)
    plan = Plan("Spring renewal", selection, now + 40 * DAY, _LADDER, Settings(Pace(_TRIGGERS_A_MINUTE)))
    campaign = planning.plan(plan, now=now, actor=SYSTEM)
    planning.start(campaign, now=now, actor=SYSTEM, agreed=True)


def _write_flash(home: Path, planted: list[_Planted], certificates: dict[int, Certificate]) -> None:
    for each in planted:
        if each.fate.since is _Since.LIVE:
            directory = _flash_directory(home) / each.device.serial
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            pem = certificates[each.device.pk].x509.public_bytes(Encoding.PEM)
            write_whole(Flash(directory).current, key_pem(each.key) + pem)
