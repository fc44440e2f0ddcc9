import pytest

from inventory.lookup import find, hexadecimal
from inventory.models import Certificate
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


def test_a_search_takes_four_queries(meter_of_penang, django_assert_num_queries):
    with django_assert_num_queries(4):
        find("abcdef123456")
