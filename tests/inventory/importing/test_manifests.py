"""Manifests: rows become devices and certificates, bad ones become reasons, and nothing is done twice."""

import csv
import hashlib

import pytest

from inventory.importing.rejects import path_of
from inventory.importing.sources.files import SourceRefused
from inventory.models import AuditAction, AuditEvent, Authority, Certificate, Device, Purpose, Site
from tests.factories import NOW, enrolled, fleet
from tests.inventory.importing.foreign import DAY, ForeignAuthority, counts, der, imported, pem, write_csv

pytestmark = pytest.mark.django_db


@pytest.fixture
def old():
    return ForeignAuthority()


def rejects(run) -> list[dict[str, str]]:
    with path_of(run.pk).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_row_becomes_a_device_with_its_certificate(tmp_path, old):
    certificate = old.signs("CN=MTR-1,O=Old")
    row = {
        "device_serial": "MTR-1", "site": "Penang", "batch": "B7", "latitude": "5.414", "longitude": "100.329",
        "mqtt_id": "mtr:1", "phone_number": "+60 12-345 6789", "connectivity": "Always on", "status": "suspended",
        "last_seen": "2027-02-27T12:00:00+08:00", "certificate": pem(certificate), "issued": "2026-12-01",
    }  # fmt: skip

    run = imported(write_csv(tmp_path / "one.csv", [row]), fleet())

    assert counts(run) == {"records": 1, "devices_new": 1, "certificates_new": 1, "authorities_new": 1}
    device = Device.objects.select_related("site", "batch").get()
    assert (device.serial, device.site.name, device.batch.name, device.mqtt_id) == ("MTR-1", "Penang", "B7", "mtr:1")
    assert (device.phone_number, device.connectivity, device.status) == ("+60123456789", "always_on", "suspended")
    assert (float(device.latitude), float(device.longitude)) == (5.414, 100.329)
    assert device.last_seen_at.isoformat() == "2027-02-27T04:00:00+00:00"
    kept = Certificate.objects.select_related("authority").get(purpose=Purpose.DEVICE)
    assert (kept.device, bytes(kept.der), kept.profile) == (device, der(certificate), None)
    assert kept.serial == f"{certificate.serial_number:x}" and kept.subject == "CN=MTR-1,O=Old"
    assert bytes(kept.sha256) == hashlib.sha256(der(certificate)).digest()
    assert (kept.not_before, kept.not_after) == (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    assert kept.issued_at.date().isoformat() == "2026-12-01" and kept.state == "issued"
    assert kept.authority.is_external and kept.authority.name == "Old Device CA"


def test_the_same_file_again_changes_nothing(tmp_path, old):
    path = write_csv(
        tmp_path / "fleet.csv",
        [{"device_serial": f"M{n}", "certificate": pem(old.signs(f"CN=M{n}")), "site": "S"} for n in range(5)],
    )
    imported(path, fleet())
    before = list(Certificate.objects.order_by("id").values()), list(Device.objects.order_by("id").values())

    run = imported(path, fleet())

    assert counts(run) == {"records": 5, "devices_known": 5, "certificates_known": 5}
    assert (list(Certificate.objects.order_by("id").values()), list(Device.objects.order_by("id").values())) == before


def test_a_dry_run_tells_what_the_run_does_and_does_nothing(tmp_path, old):
    known, new = old.signs("CN=A1"), old.signs("CN=A2")
    imported(write_csv(tmp_path / "first.csv", [{"device_serial": "A1", "certificate": pem(known)}]), fleet())
    twin = old.signs("CN=A3", serial=new.serial_number)
    rows = [
        {"device_serial": "A1", "certificate": pem(known), "mqtt_id": ""},
        {"device_serial": "A2", "certificate": pem(new), "mqtt_id": "same"},
        {"device_serial": "A2", "certificate": pem(new), "mqtt_id": "same"},
        {"device_serial": "A3", "certificate": pem(twin), "mqtt_id": ""},
        {"device_serial": "A4", "certificate": "", "mqtt_id": "same"},
        {"device_serial": "no serial!", "certificate": "", "mqtt_id": ""},
    ]
    path = write_csv(tmp_path / "fleet.csv", rows)
    before = Device.objects.count(), Certificate.objects.count()

    rehearsed = imported(path, fleet(), dry_run=True)
    assert (Device.objects.count(), Certificate.objects.count()) == before
    done = imported(path, fleet())

    assert counts(rehearsed) == counts(done)
    assert counts(done) == {
        "records": 6, "devices_new": 2, "devices_known": 1, "certificates_new": 1, "certificates_known": 1,
        "certificates_repeated": 1, "rejected": 3,
    }  # fmt: skip
    assert [row["line"] for row in rejects(done)] == [row["line"] for row in rejects(done)]
    assert {(row["line"], row["reason"]) for row in rejects(rehearsed)} == {
        (row["line"], row["reason"]) for row in rejects(done)
    }


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"device_serial": "=cmd|' /C calc'!A0"}, "is no device serial"),
        ({"device_serial": "x" * 1_000_000}, "has 1,000,000 characters; at most 64"),
        ({"device_serial": ""}, "names no device and holds no certificate"),
        ({"device_serial": "A\0B"}, "holds a NUL"),
        ({"phone_number": "call me"}, "is no phone number in E.164"),
        ({"mqtt_id": "a/#"}, "is no MQTT client id"),
        ({"latitude": "95", "longitude": "1"}, "is not between -90 and 90"),
        ({"latitude": "nan", "longitude": "1"}, "is no latitude in decimal degrees"),
        ({"latitude": "5"}, "stand together"),
        ({"site": "s" * 101}, "has 101 characters; at most 100"),
        ({"fleet": "nowhere"}, "There is no fleet 'nowhere'"),
        ({"connectivity": "sometimes"}, "is no connectivity class"),
        ({"last_seen": "2027-01-01 10:00 CET"}, "names its time zone"),
        ({"last_seen": "2028-01-01"}, "is in the future"),
        ({"last_seen": "yesterday"}, "ISO 8601"),
        ({"certificate": "MIIB"}, "are no certificate"),
        ({"certificate": "not base64 at all!"}, "is not base64"),
        ({"certificate": "-----BEGIN CERTIFICATE-----\nMIIB"}, "END line is missing"),
    ],
)
def test_a_bad_row_is_rejected_with_its_reason_and_its_neighbours_land(tmp_path, old, cells, reason):
    bad = {"device_serial": "BAD-1", **cells}
    rows = [{"device_serial": "OK-1"}, bad, {"device_serial": "OK-2", "certificate": pem(old.signs("CN=OK-2"))}]

    run = imported(write_csv(tmp_path / "rows.csv", rows), fleet())

    assert run.rejected == 1 and run.devices_new == 2 and run.certificates_new == 1
    [reject] = rejects(run)
    assert reason in reject["reason"] and reject["line"] == "3"
    assert run.first_rejects[0]["reason"] == reject["reason"]
    assert not Device.objects.filter(serial="BAD-1").exists()


def test_a_certificate_that_lies_about_its_length_is_rejected(tmp_path, old):
    whole = der(old.signs("CN=L1"))
    longer, shorter, trailing = whole[:3] + bytes([whole[3] + 1]) + whole[4:], whole[:-1], whole + b"\0"
    rows = [{"device_serial": f"L{n}", "certificate": lie.hex()} for n, lie in enumerate((longer, shorter, trailing))]

    run = imported(write_csv(tmp_path / "lies.csv", rows), fleet())

    assert counts(run) == {"records": 3, "rejected": 3}
    assert all("are no certificate (RFC 5280)" in row["reason"] for row in rejects(run))


def test_a_rejects_file_runs_no_formula_and_holds_the_original(tmp_path):
    run = imported(write_csv(tmp_path / "f.csv", [{"device_serial": "=1+1", "site": "<script>"}]), fleet())

    [row] = rejects(run)
    assert row["original"] == "'=1+1,<script>"
    assert path_of(run.pk).stat().st_mode & 0o777 == 0o600


def test_names_are_kept_as_they_are(tmp_path):
    names = ["<script>alert(1)</script>", "=SUM(A1)", "Müller & Söhne", "'; DROP TABLE inventory_site; --", "工場"]
    rows = [{"device_serial": f"N{number}", "site": name} for number, name in enumerate(names)]

    imported(write_csv(tmp_path / "names.csv", rows), fleet())

    assert set(Site.objects.values_list("name", flat=True)) == set(names)


def test_one_serial_number_of_one_issuer_is_one_certificate(tmp_path, old):
    first = old.signs("CN=S1")
    second = old.signs("CN=S2", serial=first.serial_number)
    elsewhere = ForeignAuthority("CN=Another CA").signs("CN=S3", serial=first.serial_number)
    rows = [
        {"device_serial": f"S{number}", "certificate": pem(each)}
        for number, each in enumerate((first, second, elsewhere), 1)
    ]

    run = imported(write_csv(tmp_path / "twins.csv", rows), fleet())

    assert run.certificates_new == 2 and run.authorities_new == 2
    [reject] = rejects(run)
    assert reject["line"] == str(2 + 14) or "serial number" in reject["reason"]
    assert "Another certificate of the same issuer has this serial number" in reject["reason"]
    assert pem(second).splitlines()[1] in reject["original"]


def test_one_device_serial_in_two_fleets_is_two_devices(tmp_path):
    fleet("north"), fleet("south")
    rows = [{"device_serial": "SAME", "fleet": slug} for slug in ("north", "south")]

    run = imported(write_csv(tmp_path / "two.csv", rows), None)

    assert run.devices_new == 2
    assert set(Device.objects.values_list("fleet__slug", flat=True)) == {"north", "south"}


def test_a_row_without_a_fleet_needs_one_for_all(tmp_path):
    run = imported(write_csv(tmp_path / "none.csv", [{"device_serial": "A"}]), None)
    assert "names no fleet" in rejects(run)[0]["reason"]


def test_a_device_of_several_certificates_is_registered_once(tmp_path, old):
    rows = [{"device_serial": "D1", "certificate": pem(old.signs("CN=D1"))} for _ in range(3)]
    run = imported(write_csv(tmp_path / "three.csv", rows), fleet())
    assert (run.devices_new, run.certificates_new) == (1, 3)
    assert Device.objects.get().certificates.count() == 3


def test_a_known_certificate_is_not_moved_to_another_device(tmp_path, old):
    certificate = pem(old.signs("CN=D1"))
    imported(write_csv(tmp_path / "a.csv", [{"device_serial": "D1", "certificate": certificate}]), fleet())

    run = imported(write_csv(tmp_path / "b.csv", [{"device_serial": "D2", "certificate": certificate}]), fleet())

    assert rejects(run)[0]["reason"] == "The certificate belongs to device D1."
    assert Certificate.objects.get(purpose=Purpose.DEVICE).device.serial == "D1"


def test_a_certificate_that_names_our_authority_does_not_pass_by_the_door(tmp_path):
    meter = enrolled()
    ours = ForeignAuthority()
    ours.name = meter.device.fleet.authority.x509.subject
    forged = ours.signs("CN=FORGED")
    own_key = meter.device.fleet.authority.x509.extensions[2].value
    del own_key
    rows = [
        {"device_serial": meter.device.serial, "certificate": pem(meter.certificate.x509)},
        {"device_serial": "FORGED", "certificate": pem(_with_key_of(meter.device.fleet.authority.x509))},
        {"device_serial": "OTHER-KEY", "certificate": pem(forged)},
    ]

    run = imported(write_csv(tmp_path / "own.csv", rows), meter.device.fleet)

    assert (run.certificates_known, run.rejected, run.certificates_new) == (1, 1, 1)
    assert "names an authority of this portal" in rejects(run)[0]["reason"]
    # The same name with another key is another authority, and none of ours.
    assert Certificate.objects.get(device__serial="OTHER-KEY").authority.is_external


def _with_key_of(issuer):
    from cryptography import x509

    from tests.inventory.importing import foreign

    forger = ForeignAuthority()
    builder = foreign._builder(
        x509.Name.from_rfc4514_string("CN=FORGED"), issuer.subject, forger.key.public_key(), foreign.BEGAN, foreign.ENDS
    )
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
    )
    return builder.sign(forger.key, foreign.hashes.SHA256())


def test_revocations_are_honoured_now_and_when_they_come_later(tmp_path, old):
    first, second = pem(old.signs("CN=R1")), pem(old.signs("CN=R2"))
    row = {"device_serial": "R1", "certificate": first, "state": "revoked", "revoked_at": "1767225600000"}
    rows = [{**row, "revocation_reason": "1"}, {"device_serial": "R2", "certificate": second, "state": "valid"}]
    imported(write_csv(tmp_path / "then.csv", rows), fleet())
    revoked = Certificate.objects.get(state="revoked")
    assert (revoked.device.serial, revoked.revocation_reason) == ("R1", "keyCompromise")
    assert revoked.revoked_at.isoformat() == "2026-01-01T00:00:00+00:00"

    rows[1] |= {"state": "Revoked", "revocation_reason": "cessation_of_operation"}
    run = imported(write_csv(tmp_path / "now.csv", rows), fleet())

    assert (run.certificates_revoked, run.certificates_known) == (1, 2)
    later = Certificate.objects.get(device__serial="R2")
    assert (later.state, later.revocation_reason, later.revoked_at) == ("revoked", "cessationOfOperation", NOW)


def test_a_revocation_in_a_file_does_not_revoke_what_is_ours(tmp_path):
    meter = enrolled()
    row = {"device_serial": meter.device.serial, "certificate": pem(meter.certificate.x509), "state": "revoked"}

    imported(write_csv(tmp_path / "own.csv", [row]), meter.device.fleet)

    meter.certificate.refresh_from_db()
    assert meter.certificate.state == "confirmed"


def test_a_run_leaves_one_event_when_it_begins_and_one_with_its_counts(tmp_path):
    run = imported(write_csv(tmp_path / "a.csv", [{"device_serial": f"A{n}"} for n in range(20)]), fleet())

    events = AuditEvent.objects.filter(details__run=run.pk).order_by("id")
    assert [event.action for event in events] == [AuditAction.IMPORT_STARTED, AuditAction.IMPORT_FINISHED]
    assert events[1].details["devices_new"] == 20 and events[1].actor == "certportal"


@pytest.mark.parametrize("workers", [0, 2])
def test_processes_that_parse_give_the_same_result(tmp_path, old, workers):
    rows = [{"device_serial": f"W{n:05}", "certificate": pem(old.signs(f"CN=W{n:05}"))} for n in range(300)]
    rows.insert(150, {"device_serial": "bad one"})
    run = imported(write_csv(tmp_path / "w.csv", rows), fleet(), workers=workers)
    assert (run.devices_new, run.certificates_new, run.rejected) == (300, 300, 1)


def test_an_umlaut_in_latin_1_needs_to_be_said(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("device_serial,site\nA1,Köln\nA2,Bonn\n".encode("latin-1"))

    run = imported(path, fleet())
    assert "is not utf-8; say that its encoding is latin-1" in rejects(run)[0]["reason"]
    assert (run.devices_new, rejects(run)[0]["original"]) == (1, "A1,K\\xf6ln")

    from inventory.formats.imports import Encoding

    assert imported(path, fleet(), encoding=Encoding.LATIN_1).devices_new == 1
    assert Site.objects.filter(name="Köln").exists()


def test_a_mapping_names_columns_and_a_missing_one_is_named(tmp_path):
    path = tmp_path / "semicolon.csv"
    path.write_bytes("\ufeffSerial No;Plant\nA1;Penang\n".encode())

    run = imported(path, fleet(), columns={"Serial No": "device_serial", "Plant": "site"})
    assert run.devices_new == 1

    with pytest.raises(SourceRefused, match="has no column 'Werk'"):
        imported(path, fleet(), columns={"Werk": "site"})
    with pytest.raises(SourceRefused, match="none of them is mapped to device_serial or certificate"):
        imported(path, fleet())


def test_a_thousand_new_issuers_are_enough(tmp_path, old, monkeypatch):
    monkeypatch.setattr("inventory.importing.loading.external_authorities.MOST_NEW", 2)
    rows = [
        {"device_serial": f"I{n}", "certificate": pem(ForeignAuthority(f"CN=Self {n}").signs(f"CN=I{n}"))}
        for n in range(4)
    ]
    run = imported(write_csv(tmp_path / "self.csv", rows), fleet())
    assert Authority.objects.external().count() == run.authorities_new == 2
    assert {row["reason"].partition(";")[0] for row in rejects(run)} == {
        "One import makes a limited number of external authorities"
    }
    assert DAY
