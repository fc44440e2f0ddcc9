import pytest

from inventory.lists.search import certificates_named, devices_named, find
from inventory.models import Certificate, Device
from inventory.x509.serials import hexadecimal
from tests import factories


@pytest.fixture
def meter_of_penang(db):
    device = factories.device("MTR-000123", mqtt_id="penang.123", phone_number="+60123456789")
    return factories.enrolled(device)


@pytest.mark.parametrize(
    "term",
    ["MTR-000123", "MTR-0001", "  MTR-000123 ", "penang.123", "+60123456789", "+60 12 345-6789"],
)
def test_a_device_is_found_by_what_is_written_on_it(meter_of_penang, term):
    assert find(term).device_ids == (meter_of_penang.device.pk,)


@pytest.mark.parametrize(
    "spell",
    [
        lambda s: s,
        str.upper,
        lambda s: s[:12],
        lambda s: f"0x{s}",
        lambda s: f"00{s}",
        lambda s: ":".join((s if len(s) % 2 == 0 else f"0{s}")[i : i + 2] for i in range(0, len(s) + 1, 2)).strip(":"),
    ],
)
def test_a_certificate_is_found_by_its_serial_as_any_tool_prints_it(meter_of_penang, spell):
    certificate = meter_of_penang.certificate
    assert certificate.pk in find(spell(certificate.serial)).certificate_ids


def test_a_certificate_is_found_by_fingerprint_and_by_key(meter_of_penang):
    certificate = Certificate.objects.get(pk=meter_of_penang.certificate.pk)
    for digest in (certificate.sha256, certificate.spki_sha256):
        assert find(bytes(digest).hex()).certificate_ids == (certificate.pk,)


@pytest.mark.parametrize("term", ["", "  ", "MTR%", "mtr-000123", "' OR 1=1 --", "\x00", "ω" * 500, "f" * 64, "%"])
def test_what_names_nothing_finds_nothing(meter_of_penang, term):
    found = find(term)
    assert (found.device_ids, found.certificate_ids) == ((), ())


def test_hexadecimal_reads_colons_and_refuses_words():
    assert hexadecimal("0A:1b C2") == "0a1bc2"
    assert hexadecimal("meter") is None


def test_a_search_takes_at_most_six_queries(meter_of_penang, django_assert_max_num_queries):
    with django_assert_max_num_queries(6):
        find("abcdef123456")


def test_a_certificate_is_found_by_its_serial_in_decimal(meter_of_penang):
    certificate = meter_of_penang.certificate
    assert find(str(int(certificate.serial, 16))).certificate_ids == (certificate.pk,)


def test_batch_and_site_name_their_devices_and_certificates(db):
    fleet = factories.fleet()
    device = factories.device(
        "MTR-000900", site=fleet.sites.create(name="Johor Bahru"), batch=fleet.batches.create(name="B 42")
    )
    certificate = factories.enrolled(device).certificate
    factories.enrolled(factories.device("MTR-000901"))
    for term in ("Johor Bahru", "B 42"):
        assert list(devices_named(Device.objects.all(), term)) == [device]
        assert list(certificates_named(Certificate.objects.all(), term)) == [certificate]
