"""A filtered list holds exactly the rows that independent SQL finds, and never ignores what it was asked."""

from urllib.parse import urlencode

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from inventory.models import (
    AuditAction,
    AuditEvent,
    Authority,
    Batch,
    Certificate,
    CertificateState,
    CertificateStatus,
    Connectivity,
    Device,
    DeviceStatus,
    Purpose,
    Site,
)
from renewal.models import Campaign, CampaignState, Target, TargetState
from revocation.models import Crl
from tests import factories
from tests.certportal.api import rows
from tests.factories import DAY

FINGERPRINT = bytes(range(32))
KEY_HASH = bytes(range(32, 64))
SERIAL = 0x4A00_0000_0000_0000_0000_0000_0000_0000_0000_BEEF


@pytest.fixture(scope="module")
def population(module_db):
    """Two fleets, sites and batches; devices and certificates in every state, around the moment of the test."""
    now = timezone.now()
    one, two = factories.fleet("one"), factories.fleet("two", profile=factories.profile("other"))
    for fleet in (one, two):
        sites = [Site.objects.create(fleet=fleet, name=name) for name in ("north", "south")]
        batches = [Batch.objects.create(fleet=fleet, name=name) for name in ("A & B", "2027/1")]
        for index in range(12):
            number = index + (100 if fleet is two else 0)
            device = Device.objects.create(
                fleet=fleet,
                serial=f"M{number:04}",
                site=sites[index % 2],
                batch=batches[index % 3] if index % 3 < 2 else None,
                mqtt_id=f"mqtt-{number}" if index % 2 else "",
                phone_number=f"+6012345{number:04}" if index % 2 else "",
                connectivity=Connectivity.values[index % 3],
                status=DeviceStatus.values[index % 3],
                registered_at=now,
            )
            factories.note_last_seen({device: now - index * DAY if index % 4 else None})
            first = rows.certificate(device, not_after=now + (index - 4) * 10 * DAY)
            first.save()
            later = rows.certificate(
                device,
                not_after=now + (index - 6) * 20 * DAY,
                state=CertificateState.ISSUED,
                activated_at=None,
                issued_at=now - index * DAY,
                predecessor=first if index % 3 == 2 else None,
                **({"not_before": now + DAY} if index == 11 else {}),
            )
            later.save()
            if index % 4 == 0:
                Certificate.objects.filter(pk=first.pk).update(**rows.REVOKED)
            if index % 4 == 1:
                Certificate.objects.filter(pk=first.pk).update(state=CertificateState.SUPERSEDED, successor=later)
            AuditEvent.objects.create(
                at=now - index * DAY,
                action=AuditAction.values[index % 3],
                actor_kind="user",
                actor=f"person-{index % 2}",
                object_name=device.serial,
                device=device,
                certificate=first,
            )
    Device.objects.create(fleet=one, serial="M0050", registered_at=now)
    gone = factories.fleet("gone", authority=factories.authority("gone"))
    for ends in (now - DAY, now + 200 * DAY):
        rows.certificate(factories.device(fleet=gone), not_after=ends).save()
    Certificate.objects.filter(subject_authority__slug="gone").update(**rows.REVOKED)
    named = Certificate.objects.filter(purpose=Purpose.DEVICE).earliest("id")
    Certificate.objects.filter(pk=named.pk).update(serial=f"{SERIAL:x}", sha256=FINGERPRINT, spki_sha256=KEY_HASH)


_SEEN = "id IN (SELECT device_id FROM inventory_devicepresence WHERE {})"
DEVICES = {
    "fleet=one": "fleet_id = (SELECT id FROM inventory_fleet WHERE slug = 'one')",
    "serial=M0003": "serial = 'M0003'",
    "serial__startswith=M01": "serial LIKE 'M01%'",
    "batch=A %26 B": "batch_id IN (SELECT id FROM inventory_batch WHERE name = 'A & B')",
    "site=north": "site_id IN (SELECT id FROM inventory_site WHERE name = 'north')",
    "fleet=two&site=north": "site_id IN (SELECT id FROM inventory_site WHERE name = 'north') AND serial LIKE 'M01%'",
    "connectivity=always_on": "connectivity = 'always_on'",
    "status=retired": "status = 'retired'",
    "mqtt_id=mqtt-3": "mqtt_id = 'mqtt-3'",
    "phone_number=%2B60123450003": "phone_number = '+60123450003'",
    "never_seen=true": _SEEN.format("last_seen_at IS NULL"),
    "never_seen=false": _SEEN.format("last_seen_at IS NOT NULL"),
    "never_certified=true": "id NOT IN (SELECT device_id FROM inventory_certificate WHERE device_id IS NOT NULL)",
    "never_certified=false": "id IN (SELECT device_id FROM inventory_certificate)",
    "last_seen_after={day:-5}": _SEEN.format("last_seen_at >= '{day:-5}'"),
    "last_seen_before={day:-5}": _SEEN.format("last_seen_at < '{day:-5}'"),
}
_STANDING = (
    "state IN ('issued', 'confirmed') AND authority_id <> (SELECT id FROM inventory_authority WHERE slug = 'gone')"
)
_OF = "device_id IN (SELECT id FROM inventory_device WHERE {})"
CERTIFICATES = {
    "fleet=two": _OF.format("serial LIKE 'M01%'"),
    "device=M0003": _OF.format("serial = 'M0003'"),
    "batch=2027/1": _OF.format("batch_id IN (SELECT id FROM inventory_batch WHERE name = '2027/1')"),
    "site=south": _OF.format("site_id IN (SELECT id FROM inventory_site WHERE name = 'south')"),
    "authority=mfg-1": "authority_id = (SELECT id FROM inventory_authority WHERE slug = 'mfg-1')",
    "profile=other": "profile_id = (SELECT id FROM inventory_profile WHERE slug = 'other')",
    f"serial={SERIAL:x}": f"serial = '{SERIAL:x}'",
    f"serial=00:{SERIAL:X}": f"serial = '{SERIAL:x}'",
    f"serial={SERIAL}": f"serial = '{SERIAL:x}'",
    f"sha256={FINGERPRINT.hex(':').upper()}": f"sha256 = '\\x{FINGERPRINT.hex()}'",
    f"spki_sha256={KEY_HASH.hex()}": f"spki_sha256 = '\\x{KEY_HASH.hex()}'",
    "status=valid": f"{_STANDING} AND now() BETWEEN not_before AND not_after",
    "status=expiring": f"{_STANDING} AND not_before <= now() AND not_after BETWEEN now() AND now() + interval '90 d'",
    "status=unconfirmed": "state = 'issued' AND predecessor_id IS NOT NULL AND now() BETWEEN not_before AND not_after",
    "status=not_yet_valid": f"{_STANDING} AND not_before > now()",
    "status=issuer_revoked": (
        "state IN ('issued', 'confirmed') AND authority_id = (SELECT id FROM inventory_authority WHERE slug = 'gone')"
    ),
    "status=expired": f"{_STANDING} AND not_after < now()",
    "status=superseded": "state = 'superseded'",
    "status=revoked": "state = 'revoked'",
    "purpose=authority": "purpose = 'authority'",
    "not_after_after={day:-5}&not_after_before={day:30}": "not_after >= '{day:-5}' AND not_after < '{day:30}'",
    "issued_after={day:-3}": "issued_at >= '{day:-3}'",
    "issued_before={day:-3}": "issued_at < '{day:-3}'",
}
AUDIT_EVENTS = {
    f"action={AuditAction.CERTIFICATE_ENROLLED}": f"action = '{AuditAction.CERTIFICATE_ENROLLED}'",
    "actor=person-1": "actor = 'person-1'",
    "device=M0103": _OF.format("serial = 'M0103'"),
    "fleet=one": _OF.format("serial LIKE 'M00%'"),
    f"certificate={SERIAL:x}": "certificate_id = (SELECT min(id) FROM inventory_certificate WHERE purpose = 'device')",
    "at_after={day:-4}&at_before={day:-2}": "at >= '{day:-4}' AND at < '{day:-2}'",
}


class Days:
    """`{day:-5}`: the date five days ago."""

    def __format__(self, days: str) -> str:
        return f"{timezone.now() + int(days) * DAY:%Y-%m-%d}"


@pytest.mark.parametrize(
    ("resource", "query", "where"),
    [
        (resource, query, where)
        for resource, cases in (
            ("devices", DEVICES),
            ("certificates", CERTIFICATES),
            ("audit-events", AUDIT_EVENTS),
        )
        for query, where in cases.items()
    ],
    ids=lambda value: value if "=" not in value or len(value) < 40 else value[:40],
)
def test_a_filter_gives_what_sql_gives(population, reader, resource, query, where):
    table = {"audit-events": "auditevent"}.get(resource, resource.removesuffix("s"))
    listed = listed_ids(reader, resource, query.format(day=Days()))
    assert listed == sql_ids(f"inventory_{table}", where.format(day=Days()))
    assert listed, "the filter found nothing, so it proved nothing"
    assert listed != sql_ids(f"inventory_{table}", "true"), "the filter found everything, so it proved nothing"


def listed_ids(client: APIClient, resource: str, query: str = "") -> set[int]:
    page = client.get(f"/api/v1/{resource}/?limit=1000&{query}").json()
    assert page["next"] is None
    return {row["id"] for row in page["results"]}


def sql_ids(table: str, where: str) -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {table} WHERE {where}")  # noqa: S608  # from the tables above
        return {row[0] for row in cursor.fetchall()}


def test_every_certificate_is_listed_under_the_status_it_shows(population, reader):
    shown = {row["id"]: row["status"] for row in reader.get("/api/v1/certificates/?limit=1000").json()["results"]}
    assert set(shown.values()) == set(CertificateStatus.values)
    in_sql = {each.pk: each.status_at(timezone.now()).value for each in Certificate.objects.all()}
    assert shown == in_sql
    for status in CertificateStatus.values:
        under = {"valid": {"valid", "expiring", "unconfirmed"}}.get(status, {status})
        listed = listed_ids(reader, "certificates", f"status={status}")
        if status == CertificateStatus.EXPIRING:
            listed -= {number for number, word in shown.items() if word == "unconfirmed"}
        assert listed == {number for number, word in shown.items() if word in under}, status


@pytest.fixture
def campaigns(meter):
    planned, running = (
        Campaign.objects.create(
            name=state,
            fleet=meter.device.fleet,
            state=state,
            expires_from=factories.NOW,
            expires_before=factories.NOW + 60 * DAY,
            due_at=factories.NOW + 60 * DAY,
            created_at=factories.NOW,
            created_by="someone",
            ladder={},
        )
        for state in (CampaignState.PLANNED, CampaignState.RUNNING)
    )
    target = Target.objects.create(
        campaign=running, device=meter.device, certificate=meter.certificate, ends_at=meter.certificate.not_after
    )
    return planned, running, target


def test_campaigns_are_filtered_by_fleet_and_state(campaigns, reader):
    planned, running, _ = campaigns
    factories.fleet("empty")
    assert listed_ids(reader, "campaigns", "state=running") == {running.id}
    assert listed_ids(reader, "campaigns", "fleet=demo") == {planned.id, running.id}
    assert listed_ids(reader, "campaigns", "fleet=empty") == set()


def test_targets_are_those_of_their_campaign(campaigns, reader):
    planned, running, target = campaigns
    assert listed_ids(reader, f"campaigns/{running.id}/targets") == {target.id}
    assert listed_ids(reader, f"campaigns/{running.id}/targets", f"state={TargetState.CONFIRMED}") == set()
    assert listed_ids(reader, f"campaigns/{running.id}/targets", f"device={target.device.serial}") == {target.id}
    assert listed_ids(reader, f"campaigns/{planned.id}/targets") == set()
    assert reader.get("/api/v1/campaigns/0/targets/").status_code == 404


def test_crls_are_filtered_by_issuer_and_shard(meter, reader):
    made = [
        Crl.objects.create(
            authority=Authority.objects.get(slug=slug),
            shard=shard,
            number=1,
            published_at=factories.NOW,
            this_update=factories.NOW,
            next_update=factories.NOW + DAY,
            entries=0,
            size=400,
            sha256=FINGERPRINT,
        )
        for slug, shard in (("root", 0), ("mfg-1", 0), ("mfg-1", None))
    ]
    assert listed_ids(reader, "crls", "authority=mfg-1") == {made[1].id, made[2].id}
    assert listed_ids(reader, "crls", "authority=mfg-1&shard=0") == {made[1].id}
    assert listed_ids(reader, "crls", "next_update_before=2027-03-02T12:00:00Z") == set()


@pytest.mark.parametrize(
    ("query", "at_fault"),
    [
        ("colour=red", "colour"),
        ("Serial=M0003", "Serial"),
        ("serial__contains=3", "serial__contains"),
        ("page=2", "page"),
        ("format=json", "format"),
        ("fleet=typo", "fleet"),
        ("batch=typo", "batch"),
        ("site=north&fleet=typo", "fleet"),
        ("fleet=", "fleet"),
        ("fleet", "fleet"),
        ("serial=%20", "serial"),
        ("serial=M1&serial=M2", "serial"),
        ("serial=%00", "serial"),
        ("fleet=a%00b", "fleet"),
        ("serial=%ff", "serial"),
        ("fleet=%c3%28", "fleet"),
        ("%00=1", "\ufffd"),
        ("never_seen=maybe", "never_seen"),
        ("status=asleep", "status"),
        ("phone_number=+60123456789", "phone_number"),
        ("last_seen_after=yesterday", "last_seen_after"),
        ("last_seen_after=2027-02-30", "last_seen_after"),
        ("last_seen_after=" + "9" * 5000, "last_seen_after"),
    ],
)
def test_a_parameter_that_would_be_ignored_is_refused_by_name(population, reader, query, at_fault):
    answer = reader.get(f"/api/v1/devices/?{query}")
    assert answer.status_code == 400
    assert list(answer.json()["error"]["details"]) == [at_fault]


@pytest.mark.parametrize("text", ["0", "", "xyz", "1" * 60, "-5", "0x", "::", "1.5"])
def test_a_serial_number_that_is_none_is_refused(reader, text):
    assert reader.get(f"/api/v1/certificates/?{urlencode({'serial': text})}").status_code == 400


@pytest.mark.parametrize(
    ("moment", "status"),
    [
        ("0001-01-01", 200),
        ("9999-12-31T23:59:59Z", 200),
        ("2027-03-01T12:00:00%2B16:47", 200),
        ("2027-03-01T12:00:00-23:59", 200),
        ("0001-01-01T00:00:00%2B14:00", 400),
        ("9999-12-31T23:59:59-14:00", 400),
    ],
)
def test_any_moment_in_utc_is_taken_and_none_outside(reader, moment, status):
    assert reader.get(f"/api/v1/certificates/?not_after_after={moment}").status_code == status


@pytest.mark.parametrize("shard", ["-1", "32768", "1" * 400, "1.5", "NaN", "1e5", "one"])
def test_a_shard_that_no_certificate_can_have_is_refused(reader, shard):
    assert reader.get(f"/api/v1/crls/?shard={shard}").status_code == 400


@pytest.mark.parametrize("wave", ["-1", "32768", "1" * 400, "0.5", "NaN", "1e5", "one"])
def test_a_wave_that_no_target_can_have_is_refused(campaigns, reader, wave):
    _, running, _ = campaigns
    assert reader.get(f"/api/v1/campaigns/{running.id}/targets/?wave={wave}").status_code == 400
    assert listed_ids(reader, f"campaigns/{running.id}/targets", "wave=1") == set()


def test_an_unknown_parameter_is_answered_with_the_known_ones(reader):
    answer = reader.get("/api/v1/fleets/?name=demo").json()["error"]
    assert answer["code"] == "invalid"
    assert answer["details"]["name"] == [
        "Not a parameter of this address. Known: authority, cursor, fields, limit, ordering, profile."
    ]


def test_a_single_object_takes_no_parameters(meter, reader):
    address = f"/api/v1/devices/{meter.device.id}/"
    assert reader.get(address).status_code == 200
    assert reader.get(f"{address}?fleet=demo").status_code == 400


@pytest.mark.parametrize(
    "query", ["", "fleet=one", "fleet=one&batch=A %26 B&status=expired&not_after_before=2030-01-01"]
)
def test_filters_cost_at_most_one_query_for_each_named_object(population, reader, query, django_assert_max_num_queries):
    listed_ids(reader, "certificates")
    # Where another table chooses the rows, one more asks the planner how many it expects. A status asks which
    # authorities are revoked.
    named = sum(query.count(each) for each in ("fleet=", "batch=", "status="))
    with django_assert_max_num_queries(4 + named + bool(query)):
        listed_ids(reader, "certificates", query)
