"""Odd files and odd certificates: what is sound lands, what is not is told by its line, and every run ends."""

import csv

import pytest
from django.urls import reverse

from inventory.importing import runs
from inventory.importing.rejects import path_of
from inventory.importing.sources.files import SourceRefused
from inventory.models import Authority, Certificate, Device, ImportRun, ImportState, Purpose
from inventory.x509.reading import readable
from tests.factories import fleet
from tests.inventory.importing import odd
from tests.inventory.importing.foreign import ForeignAuthority, begun, counts, der, imported, pem, write_csv

pytestmark = pytest.mark.django_db


@pytest.fixture
def old():
    return ForeignAuthority()


def written(path, content: str | bytes):
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return path


def rejects(run) -> dict[int, str]:
    with path_of(run.pk).open(newline="") as stream:
        return {int(each["line"]): each["reason"] for each in csv.DictReader(stream)}


def test_half_a_character_costs_its_line_and_the_run_ends(tmp_path):
    lines = [
        '{"device_serial":"A","site":"ok"}',
        '{"device_serial":"B","site":"Halle \\ud83d"}',
        '{"device_serial":"C"}',
    ]
    run = imported(written(tmp_path / "a.jsonl", "\n".join(lines)), fleet())
    assert (run.state, run.devices_new, run.rejected) == (ImportState.FINISHED, 2, 1)
    assert "half of a surrogate pair" in rejects(run)[2]


def test_an_enveloped_message_between_two_certificates_costs_itself(tmp_path, old):
    around = [pem(old.signs(f"CN=E{number}")).encode() for number in range(2)]
    content = around[0] + odd.vector("pkcs7", "enveloped.pem") + around[1]
    run = imported(written(tmp_path / "a.pem", content), fleet())
    assert (run.state, run.certificates_new) == (ImportState.FINISHED, 2)
    assert list(rejects(run)) == [around[0].count(b"\n") + 1]


def test_a_root_of_serial_number_zero_costs_neither_leaf_nor_device(tmp_path, old):
    leaf, root = pem(old.signs("CN=CH-1")), odd.with_serial(b"\0")
    chain = pem(old.certificate) + odd.pem_of(root)
    rows = [{"device_serial": "CH-1", "certificate": leaf, "chain": chain}]
    rows += [{"device_serial": "CH-2", "certificate": pem(old.signs("CN=CH-2")), "chain": chain}]

    run = imported(write_csv(tmp_path / "a.csv", rows), fleet())

    assert (run.devices_new, run.certificates_new) == (2, 3)
    assert Certificate.objects.get(device__serial="CH-1").authority.certificate is not None
    # Told once, however often the chain is repeated.
    [reason] = rejects(run).values()
    assert "In its chain: 'CN=ODD-1' has no positive serial number" in reason and "RFC 5280 4.1.2.2" in reason


# Staging tables are emptied by commits.
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("apart", [0, 5 << 20], ids=["in one block", "in two blocks"])
def test_a_certificate_that_two_rows_claim_is_the_first_ones(tmp_path, old, apart):
    certificate = pem(old.signs("CN=CO-1"))
    rows = [{"device_serial": serial, "certificate": certificate, "remark": ""} for serial in ("CO-1", "CO-2")]
    rows[0]["remark"] = "x" * (apart // 2)
    rows[1]["remark"] = "x" * (apart // 2)
    path = write_csv(tmp_path / "a.csv", rows)

    rehearsed = imported(path, fleet(), dry_run=True)
    run = imported(path, fleet())

    assert counts(rehearsed) == counts(run)
    assert counts(run) == {
        "records": 2, "devices_new": 2, "certificates_new": 1, "authorities_new": 1, "rejected": 1,
    }  # fmt: skip
    assert (
        list(rejects(run).values()) == ["The certificate belongs to device CO-1."] == list(rejects(rehearsed).values())
    )
    assert Certificate.objects.get(purpose=Purpose.DEVICE).device.serial == "CO-1"


def test_a_dry_run_tells_that_a_known_certificate_is_another_devices(tmp_path, old):
    certificate = pem(old.signs("CN=D1"))
    imported(write_csv(tmp_path / "a.csv", [{"device_serial": "D1", "certificate": certificate}]), fleet())
    path = write_csv(tmp_path / "b.csv", [{"device_serial": "NEW", "certificate": certificate}])
    rehearsed, run = imported(path, fleet(), dry_run=True), imported(path, fleet())
    assert counts(rehearsed) == counts(run) and rejects(rehearsed) == rejects(run)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("cr.csv", "device_serial,site\rA,x\rB,y\r", "CR alone"),
        ("cr-lf.csv", "device_serial,site\rA,x\n", "CR alone"),
        ("nul.csv", "device_serial\0,site\nA,x\n", "NUL characters"),
        ("utf16.csv", "device_serial,site\nA,x\n".encode("utf-16-be"), "NUL characters"),
        ("keys.jks", bytes.fromhex("feedfeed00000002"), "is a Java key store; write its certificates out with keytool"),
        ("keys.p12", odd.vector("pkcs12", "cert-key-aes256cbc.p12"), "is PKCS #12; write its certificates out with"),
        ("a.xls", bytes.fromhex("d0cf11e0a1b11ae1"), "old Office"),
        ("twice.csv", "device_serial,site,site\nA,x,y\n", "names a column twice"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_what_it_is(tmp_path, name, content, reason):
    with pytest.raises(SourceRefused, match=reason) as refused:
        imported(written(tmp_path / name, content), fleet())
    assert str(refused.value).isprintable()


def test_a_workbook_is_refused_as_one(tmp_path):
    path = odd.zipped(tmp_path / "meters.xlsx", {"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<workbook/>"})
    with pytest.raises(SourceRefused, match="save its sheet as CSV"):
        imported(path, fleet())


REQUEST = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"


@pytest.mark.parametrize(
    ("name", "content"), [("a.pem", REQUEST), ("a.csv", "device_serial,site\n"), ("a.pem", "-----BEGIN\n")]
)
def test_a_file_in_which_nothing_is_found_does_not_finish(tmp_path, name, content):
    run, opened = begun(written(tmp_path / name, content), fleet())
    with pytest.raises(runs.Stopped, match="Nothing was found in it"):
        runs.work(run, opened.source, workers=0, clock=lambda: run.started_at, tell=lambda _run: None)
    run.refresh_from_db()
    assert run.state == ImportState.STOPPED


def test_explanatory_text_before_a_certificate_is_passed_over(tmp_path, old):
    text = 'subject=C = US, O = "Acme, Inc", CN = x\nissuer=a, b; c | d\n'
    run = imported(written(tmp_path / "a.pem", text + pem(old.signs("CN=X1"))), fleet())
    assert (run.format, run.certificates_new) == ("pem", 1)


def test_a_table_whose_first_column_is_a_certificate_is_a_table(tmp_path, old):
    rows = [{"certificate": "\n" + pem(old.signs("CN=T1")), "device_serial": "T1"}]
    run = imported(write_csv(tmp_path / "a.csv", rows), fleet())
    assert (run.format, run.devices_new, run.certificates_new) == ("csv", 1, 1)


def test_empty_columns_at_the_end_of_a_header_are_ignored(tmp_path):
    run = imported(written(tmp_path / "a.csv", "device_serial,site,,\nA,x,,\nB,y\nC,z,,,\nD,w,!,\n"), fleet())
    assert run.devices_new == 3 and list(rejects(run)) == [5]


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        ("last_seen", "46237", "a day as spreadsheets count them"),
        ("last_seen", "2026", "a year"),
        ("last_seen", "0", "is no time"),
        ("last_seen", "-5", "is no time"),
        ("phone_number", "+49 (0)160 1234567", "has a (0), which is not dialled behind a country code"),
        ("latitude", "1_0", "is no latitude in decimal degrees"),
        ("latitude", "\u0661\u0662", "is no latitude in decimal degrees"),
        ("latitude", "inf", "is no latitude in decimal degrees"),
    ],
)
def test_a_value_that_would_be_misread_is_refused_with_what_is_expected(tmp_path, column, text, reason):
    row = {"device_serial": "V1", "longitude": "1" if column == "latitude" else "", column: text}
    row = {"latitude": "", **row}
    run = imported(write_csv(tmp_path / "a.csv", [row]), fleet())
    assert run.rejected == 1 and reason in rejects(run)[2]
    assert not Device.objects.exists()


@pytest.mark.parametrize(
    ("written_as", "moment"),
    [
        ("1767225600", "2026-01-01T00:00:00+00:00"),
        ("1767225600000", "2026-01-01T00:00:00+00:00"),
        ("20260101", "2026-01-01T00:00:00+00:00"),
        ("20260101000000", "2026-01-01T00:00:00+00:00"),
        ("100000000", "1973-03-03T09:46:40+00:00"),
    ],
)
def test_times_in_digits_are_what_they_can_only_be(tmp_path, written_as, moment):
    imported(write_csv(tmp_path / "a.csv", [{"device_serial": "T1", "last_seen": written_as}]), fleet())
    assert Device.objects.get().last_seen_at.isoformat() == moment


def test_a_line_of_several_megabytes_is_one_reject_and_its_neighbours_land(tmp_path):
    content = b'{"device_serial": "A"}\n{"site": "' + b"x" * (9 << 20) + b'"}\n{"device_serial": "B"}\n'
    run = imported(written(tmp_path / "a.jsonl", content), fleet())
    assert (run.devices_new, list(rejects(run))) == (2, [2])


def test_members_of_a_zip_are_called_by_their_kind(tmp_path, old):
    inner = odd.zipped(tmp_path / "inner.zip", {"a.csv": b"device_serial\nA\n"}).read_bytes()
    members = {
        "good.der": der(old.signs("CN=Z1")),
        "inner.zip": inner,
        "table.csv": b"device_serial,site\nA,x\n",
        "keys.p12": odd.vector("pkcs12", "cert-key-aes256cbc.p12"),
    }
    run = imported(odd.zipped(tmp_path / "a.zip", members), fleet())
    assert run.certificates_new == 1
    told = rejects(run)
    assert told[2] == "This is a ZIP; unpack it, and import it by itself."
    assert told[3] == "This is text; if it is a table, import it by itself."
    assert "PKCS #12" in told[4]
    assert all(reason.isprintable() for reason in told.values())


ODD = {
    "an empty relative name": odd.with_empty_relative_name(),
    "half an authority key identifier": odd.with_half_an_authority_key_identifier(),
    "an extension twice": odd.with_extension("2.5.29.35", odd.tlv(0x30)),
    "a name of no known type": odd.vector("x509", "custom", "name_attribute_unsupported_tag.pem"),
    "a tag of several octets": odd.vector("x509", "custom", "long-form-name-attribute.pem"),
    "a version that does not exist": odd.vector("x509", "custom", "invalid_version.pem"),
}


@pytest.mark.parametrize("oddity", ODD)
def test_a_certificate_is_tracked_however_odd_it_is(tmp_path, admin_client, oddity):
    run = imported(written(tmp_path / "odd.pem", odd.pem_of(ODD[oddity])), fleet())
    assert (run.certificates_new, run.rejected) == (1, 0)
    kept = Certificate.objects.get(authority__key_name=None)
    assert kept.purpose in {Purpose.TRACKED, Purpose.AUTHORITY} and kept.authority.is_external
    for address in (
        reverse("admin:inventory_certificate_download", args=[kept.pk]),
        f"/api/v1/certificates/{kept.pk}/pem/",
    ):
        assert admin_client.get(address).content.startswith(b"-----BEGIN CERTIFICATE-----")
    shown = readable(bytes(kept.der))
    assert shown.issuer and shown.signature_algorithm and shown.oddity


def test_an_odd_certificate_is_its_devices(tmp_path):
    row = {
        "device_serial": "ODD-1",
        "certificate": odd.pem_of(odd.with_empty_relative_name()),
        "chain": pem(odd.OLD.certificate),
    }
    imported(write_csv(tmp_path / "a.csv", [row]), fleet())
    kept = Certificate.objects.get(device__serial="ODD-1")
    assert kept.subject == "CN=ODD-1" and kept.authority.certificate.subject == "CN=Odd CA,O=Old"


def test_the_chain_of_a_foreign_certificate_ends_where_it_is_no_longer_known(tmp_path, admin_client, old):
    below = ForeignAuthority("CN=Below,O=Old", above=old)
    leaf = below.signs("CN=LONE")
    imported(written(tmp_path / "a.pem", pem(leaf)), fleet())
    address = f"/api/v1/certificates/{Certificate.objects.get(subject='CN=LONE').pk}/pem/"
    assert admin_client.get(address).content.decode() == pem(leaf)

    imported(written(tmp_path / "b.pem", pem(below.certificate)), fleet())
    assert admin_client.get(address).content.decode() == pem(leaf, below.certificate)
    assert Authority.objects.external().count() == 2 and ImportRun.objects.count() == 2
