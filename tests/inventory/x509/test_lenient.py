"""What RFC 5280 forbids is read all the same, for tracking, and what is no certificate is not."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.x509 import lenient
from tests.inventory.importing import odd
from tests.inventory.importing.foreign import ForeignAuthority, der

OLD = ForeignAuthority("CN=Lenient CA,O=Old\\, Inc.")
NAMES = [x509.DNSName("meter-1.example"), x509.UniformResourceIdentifier("urn:dev:meter-1")]
WHOLE = der(
    OLD.signs('CN=MTR-1+2.5.4.5=77,OU=\\#1,O=Acme\\+ \\"A\\" \\<b\\>\\;c\\\\d,DC=example', alternative_names=NAMES)
)


@pytest.mark.parametrize("whole", [WHOLE, der(OLD.certificate)])
def test_an_ordinary_certificate_reads_as_the_library_reads_it(whole):
    found, parsed = lenient.read(whole), x509.load_der_x509_certificate(whole)
    assert found.serial == parsed.serial_number
    assert (found.issuer, found.subject) == (parsed.issuer.public_bytes(), parsed.subject.public_bytes())
    assert (found.not_before, found.not_after) == (parsed.not_valid_before_utc, parsed.not_valid_after_utc)
    assert lenient.text(found.subject) == parsed.subject.rfc4514_string()
    assert lenient.text(found.issuer) == parsed.issuer.rfc4514_string()
    assert [each.oid for each in found.extensions] == [each.oid for each in parsed.extensions]
    assert [each.critical for each in found.extensions] == [each.critical for each in parsed.extensions]
    key = parsed.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert found.authority_key_identifier == key


def test_alternative_names_and_the_marks_of_an_authority_are_found():
    leaf, authority = lenient.read(WHOLE), lenient.read(der(OLD.certificate))
    assert leaf.alternative_names(lenient.DNS_NAME) == ["meter-1.example"]
    assert leaf.alternative_names(lenient.URI) == ["urn:dev:meter-1"]
    assert (leaf.is_authority, authority.is_authority) == (False, True)
    assert authority.subject_key_identifier == authority.authority_key_identifier != b""


@pytest.mark.parametrize(
    ("tag", "written", "moment"),
    [
        (0x17, b"491231235959Z", datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (0x17, b"500101000000Z", datetime(1950, 1, 1, tzinfo=UTC)),
        (0x17, b"2701010000Z", datetime(2027, 1, 1, tzinfo=UTC)),
        (0x17, b"270101013000+0130", datetime(2027, 1, 1, tzinfo=UTC)),
        (0x18, b"20270101000000.5Z", datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_are_read_in_the_forms_that_der_forbids_too(tag, written, moment):
    dates = odd.tlv(0x30, odd.tlv(tag, written), odd.tlv(0x18, b"99991231235959Z"))
    assert lenient.read(odd.rebuilt(WHOLE, validity=dates)).not_before == moment


@pytest.mark.parametrize(
    ("whole", "what"),
    [
        (b"", "not one SEQUENCE"),
        (WHOLE[:-1], "shorter than it says"),
        (WHOLE + b"\0", "cut short"),
        (odd.tlv(0x30, b"\x05\0"), "TBSCertificate, an algorithm and a signature"),
        (odd.rebuilt(WHOLE, validity=odd.tlv(0x30, b"")), "validity is not two times"),
        (odd.rebuilt(WHOLE, validity=odd.tlv(0x30, *[odd.tlv(0x17, b"991332000000Z")] * 2)), "notBefore is no time"),
        (odd.rebuilt(WHOLE, serial=odd.tlv(0x02)), "serial number is empty"),
        (odd.rebuilt(WHOLE, subject=odd.tlv(0x04)), "lacks a field"),
    ],
)
def test_what_has_not_the_skeleton_of_a_certificate_is_refused_by_the_part_that_is_wrong(whole, what):
    with pytest.raises(lenient.Malformed, match=what):
        lenient.read(whole)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
@settings(deadline=None, max_examples=300)
def test_any_damaged_octet_is_read_or_refused(at, value):
    try:
        found = lenient.read(WHOLE[:at] + bytes([value]) + WHOLE[at + 1 :])
        lenient.text(found.subject).encode()
        found.alternative_names(lenient.DNS_NAME)
    except lenient.Malformed as reason:
        assert str(reason)


def test_a_bundle_gives_each_certificate_as_it_stands_there():
    whole = [WHOLE, odd.with_empty_relative_name()]
    assert lenient.bundled(odd.bundle(whole)) == whole
