"""What a resource shows of its rows, and at what cost."""

from datetime import datetime

import pytest
from cryptography import x509
from django.utils import timezone

from inventory.models import Certificate
from renewal.models import Campaign, CampaignState, Target, TargetState
from tests import factories
from tests.certportal.api import rows
from tests.factories import DAY, NOW


def test_a_certificate_in_a_list_has_its_facts_and_no_der(meter, reader):
    listed = reader.get("/api/v1/certificates/?purpose=device").json()["results"]
    certificate = meter.certificate
    assert listed == [
        {
            "id": certificate.id,
            "serial": certificate.serial,
            "authority": "mfg-1",
            "purpose": "device",
            "device": {"id": meter.device.id, "fleet": "demo", "serial": meter.device.serial},
            "profile": "meter",
            "subject": f"CN={meter.device.serial}",
            "key_type": "ec-p256",
            "sha256": meter.sha256.hex(),
            "spki_sha256": bytes(certificate.spki_sha256).hex(),
            "not_before": moment(certificate.not_before),
            "not_after": moment(certificate.not_after),
            "jitter": "P0DT00H00M00S",
            "issued_at": moment(certificate.issued_at),
            "crl_shard": 0,
            "issuance_index": int(certificate.serial, 16) & 0xFFFFFFFF,
            "status": certificate.status_at(timezone.now()).value,
            "predecessor": None,
            "successor": None,
            "activated_at": moment(certificate.activated_at),
            "revoked_at": None,
            "revocation_reason": "",
        }
    ]


def moment(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def test_a_single_certificate_has_its_pem(meter, reader):
    text = reader.get(f"/api/v1/certificates/{meter.certificate.id}/").json()["pem"]
    assert x509.load_pem_x509_certificate(text.encode()) == meter.certificate.x509


def test_the_pem_download_is_the_chain_up_to_the_root(meter, reader):
    answer = reader.get(f"/api/v1/certificates/{meter.certificate.id}/pem/")
    assert answer.headers["Content-Type"] == "application/pem-certificate-chain"
    leaf, issuer, root = x509.load_pem_x509_certificates(answer.content)
    assert leaf == meter.certificate.x509
    leaf.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(root)


def test_the_chain_of_a_root_holds_it_once(meter, reader):
    root = Certificate.objects.get(subject_authority=factories.root())
    answer = reader.get(f"/api/v1/certificates/{root.id}/pem/")
    assert x509.load_pem_x509_certificates(answer.content) == [root.x509]


def test_the_der_download_is_byte_for_byte_what_was_signed(meter, reader):
    answer = reader.get(
        f"/api/v1/certificates/{meter.certificate.id}/der/", headers={"Accept": "application/pkix-cert"}
    )
    assert answer.headers["Content-Type"] == "application/pkix-cert"
    assert answer.content == meter.der


def test_authorities_profiles_and_fleets_are_found_by_their_slug(meter, reader):
    authority = reader.get("/api/v1/authorities/mfg-1/").json()
    assert authority["parent"] == "root"
    assert authority["certificate"]["serial"] == meter.device.fleet.authority.certificate.serial
    assert authority["ocsp_url"].endswith("/ocsp/mfg-1/")
    assert reader.get("/api/v1/profiles/meter/").json()["renewal_window"] == "P90DT00H00M00S"
    assert reader.get("/api/v1/fleets/demo/").json() == {
        "slug": "demo",
        "name": "demo",
        "authority": "mfg-1",
        "profile": "meter",
    }


def test_an_audit_event_names_device_and_certificate(meter, reader):
    event = reader.get(f"/api/v1/audit-events/?device={meter.device.serial}&ordering=at").json()["results"][0]
    assert event["action"] == "certificate:enrolment:issued"
    assert event["device"]["serial"] == meter.device.serial
    assert event["certificate"]["serial"] == meter.certificate.serial
    assert event["details"]["serial"] == meter.certificate.serial


def campaign(fleet, name: str) -> Campaign:
    return Campaign.objects.create(
        name=name,
        fleet=fleet,
        state=CampaignState.RUNNING,
        expires_from=NOW,
        expires_before=NOW + 60 * DAY,
        due_at=NOW + 60 * DAY,
        created_at=NOW,
        created_by="someone",
        ladder={},
    )


def test_campaigns_count_their_targets_by_state_in_one_query_for_all(meter, reader, django_assert_num_queries):
    fleet = meter.device.fleet
    running, empty = campaign(fleet, "running"), campaign(fleet, "empty")
    owners = rows.devices(5)
    Target.objects.bulk_create(
        Target(campaign=running, device=device, certificate=certificate, ends_at=certificate.not_after, state=state)
        for device, certificate, state in zip(
            owners, rows.certificates(owners), ["planned", "planned", "triggered", "escalated", "planned"], strict=True
        )
    )
    reader.get("/api/v1/campaigns/")
    # The token, the permissions of user and groups, the page, the waves, the counts.
    with django_assert_num_queries(6):
        listed = {row["id"]: row["targets"] for row in reader.get("/api/v1/campaigns/").json()["results"]}
    nothing = dict.fromkeys(TargetState.values, 0)
    assert listed == {running.id: {**nothing, "planned": 3, "triggered": 1, "escalated": 1}, empty.id: nothing}
    assert reader.get(f"/api/v1/campaigns/{running.id}/").json()["targets"] == listed[running.id]


@pytest.mark.parametrize(
    ("address", "queries"),
    [
        ("fleets/", 4),
        ("devices/", 4),
        ("certificates/", 4),
        ("profiles/", 4),
        ("authorities/", 4),
        ("campaigns/", 6),
        ("crls/", 4),
        ("audit-events/", 4),
        ("campaigns/{campaign}/targets/", 5),
    ],
)
def test_a_list_costs_the_same_queries_for_one_row_and_for_fifty(
    meter, reader, address, queries, django_assert_num_queries
):
    chosen = campaign(meter.device.fleet, "chosen")
    Target.objects.create(
        campaign=chosen, device=meter.device, certificate=meter.certificate, ends_at=meter.certificate.not_after
    )
    path = f"/api/v1/{address.format(campaign=chosen.id)}"
    reader.get(path)
    with django_assert_num_queries(queries):
        assert len(reader.get(path).json()["results"]) < 10
    owners = rows.devices(50)
    made = rows.certificates(owners)
    Target.objects.bulk_create(
        Target(campaign=chosen, device=device, certificate=certificate, ends_at=certificate.not_after)
        for device, certificate in zip(owners, made, strict=True)
    )
    for number in range(20):
        factories.fleet(f"fleet-{number}", profile=factories.profile(f"profile-{number}"))
        campaign(meter.device.fleet, f"campaign-{number}")
    with django_assert_num_queries(queries) as captured:
        reader.get(path)
    assert not any('."der"' in query["sql"] for query in captured.captured_queries)


def test_one_certificate_is_read_with_its_der_only_once(meter, reader, django_assert_num_queries):
    address = f"/api/v1/certificates/{meter.certificate.id}/"
    reader.get(address)
    with django_assert_num_queries(4):
        reader.get(address)
    assert Certificate.objects.count() == 3
