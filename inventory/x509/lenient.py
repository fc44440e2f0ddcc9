"""A lenient reader of certificates, for those of other authorities: they are tracked even if malformed.

Only what is needed to tell a certificate, its issuer and its dates is asked for: the skeleton of RFC 5280 4.1 in DER.
What RFC 5280 forbids inside of it (an empty relative name, half an authority key identifier, an extension twice) is
passed over. Nothing is certified, renewed or trusted by this reader. Pure.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtensionOID, NameOID

_BOOLEAN, _INTEGER, _BIT_STRING, _OCTET_STRING, _OID = 0x01, 0x02, 0x03, 0x04, 0x06
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_SEQUENCE, _SET = 0x30, 0x31
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_KEY_IDENTIFIER = 0x80
# GeneralName, RFC 5280 4.2.1.6.
DNS_NAME, URI = 0x82, 0x86
# The content of the object identifier id-signedData, RFC 5652 5.1.
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_TIME = re.compile(r"(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})?(?:\.\d+)?(?:Z|([+-])(\d{2})(\d{2}))?", re.A)
# UTCTime: RFC 5280 4.1.2.5.1.
_FIRST_OF_19 = 50
_ENCODINGS = {
    0x0C: "utf-8", 0x12: "ascii", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1A: "ascii", 0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}  # fmt: skip
# RFC 4514 3.
_SHORT_NAMES = {
    NameOID.COMMON_NAME: "CN", NameOID.LOCALITY_NAME: "L", NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.ORGANIZATION_NAME: "O", NameOID.ORGANIZATIONAL_UNIT_NAME: "OU", NameOID.COUNTRY_NAME: "C",
    NameOID.STREET_ADDRESS: "STREET", NameOID.DOMAIN_COMPONENT: "DC", NameOID.USER_ID: "UID",
}  # fmt: skip
_ESCAPED = re.compile(r'[,+"\\<>;]|^[ #]| $')


class Malformed(ValueError):
    """The octets are not the skeleton of a certificate; the text says which part is wrong."""


class Element(NamedTuple):
    """A DER element: its tag, the octets of its content, and all of its octets."""

    tag: int
    content: bytes
    whole: bytes


class Attribute(NamedTuple):
    type: ObjectIdentifier
    text: str


class Extension(NamedTuple):
    oid: ObjectIdentifier
    critical: bool
    value: bytes


@dataclass(frozen=True)
class LenientCertificate:
    """What could be read. `issuer`, `subject` and `public_key` are DER, byte for byte; `serial` may be any number."""

    serial: int
    issuer: bytes
    subject: bytes
    not_before: datetime
    not_after: datetime
    public_key: bytes
    signature_algorithm: ObjectIdentifier
    extensions: tuple[Extension, ...]

    @property
    def authority_key_identifier(self) -> bytes:
        inside = _elements_or_none(self._value(ExtensionOID.AUTHORITY_KEY_IDENTIFIER))
        return next((each.content for each in _inside(inside) if each.tag == _KEY_IDENTIFIER), b"")

    @property
    def subject_key_identifier(self) -> bytes:
        found = _elements_or_none(self._value(ExtensionOID.SUBJECT_KEY_IDENTIFIER))
        return next((each.content for each in found if each.tag == _OCTET_STRING), b"")

    @property
    def is_authority(self) -> bool:
        inside = _elements_or_none(self._value(ExtensionOID.BASIC_CONSTRAINTS))
        return any(each.tag == _BOOLEAN and any(each.content) for each in _inside(inside))

    def alternative_names(self, kind: int) -> list[str]:
        """Return the subject's alternative names of a kind, DNS_NAME or URI."""
        inside = _elements_or_none(self._value(ExtensionOID.SUBJECT_ALTERNATIVE_NAME))
        return [each.content.decode("ascii", "replace") for each in _inside(inside) if each.tag == kind]

    def _value(self, oid: ObjectIdentifier) -> bytes:
        return next((each.value for each in self.extensions if each.oid == oid), b"")


def read(der: bytes) -> LenientCertificate:
    """Return what can be read of a certificate. Raises Malformed."""
    outer = elements(der, "the certificate")
    if len(outer) != 1 or outer[0].tag != _SEQUENCE:
        raise Malformed("the certificate is not one SEQUENCE")
    parts = elements(outer[0].content, "the certificate")
    if [each.tag for each in parts] != [_SEQUENCE, _SEQUENCE, _BIT_STRING]:
        raise Malformed("the certificate is not a TBSCertificate, an algorithm and a signature")
    tbs = elements(parts[0].content, "TBSCertificate")
    if tbs and tbs[0].tag == _VERSION:
        del tbs[0]
    if [each.tag for each in tbs[:6]] != [_INTEGER, *[_SEQUENCE] * 5]:
        raise Malformed("TBSCertificate lacks a field or has them in another order")
    serial, _signature, issuer, validity, subject, public_key = tbs[:6]
    dates = elements(validity.content, "validity")
    if len(dates) != 2 or not serial.content:
        raise Malformed("validity is not two times" if serial.content else "the serial number is empty")
    _attributes(issuer.whole, "issuer")
    _attributes(subject.whole, "subject")
    return LenientCertificate(
        serial=int.from_bytes(serial.content, signed=True),
        issuer=issuer.whole,
        subject=subject.whole,
        not_before=_time(dates[0], "notBefore"),
        not_after=_time(dates[1], "notAfter"),
        public_key=public_key.whole,
        signature_algorithm=_algorithm(parts[1]),
        extensions=tuple(_extensions(tbs[6:])),
    )


def attributes(name: bytes) -> list[Attribute]:
    """Return the attributes of a Name (DER) in their order. Raises Malformed."""
    return [attribute for relative in _attributes(name, "the name") for attribute in relative]


def text(name: bytes) -> str:
    """Return a Name (DER) as RFC 4514 writes it; relative names without an attribute are left out. Raises Malformed."""
    relatives = [relative for relative in _attributes(name, "the name") if relative]
    return ",".join("+".join(_spelled(each) for each in relative) for relative in reversed(relatives))


def bundled(der: bytes) -> list[bytes]:
    """Return the certificates in a PKCS #7 bundle (RFC 5652 5.1), DER, each as it stands there. Raises Malformed."""
    content_info = _inside(elements(der, "the bundle"))
    if len(content_info) != 2 or content_info[0].content != _SIGNED_DATA:
        raise Malformed("the bundle is not a ContentInfo of SignedData")
    signed_data = _inside(elements(content_info[1].content, "SignedData"))
    certificates = next((each for each in signed_data if each.tag == 0xA0), None)
    found = elements(certificates.content, "certificates") if certificates else []
    return [each.whole for each in found if each.tag == _SEQUENCE]


def _algorithm(identifier: Element) -> ObjectIdentifier:
    parts = elements(identifier.content, "signatureAlgorithm")
    if not parts or parts[0].tag != _OID:
        raise Malformed("signatureAlgorithm has no object identifier")
    return object_identifier(parts[0].content)


def _spelled(attribute: Attribute) -> str:
    name = _SHORT_NAMES.get(attribute.type, attribute.type.dotted_string)
    return f"{name}={_ESCAPED.sub(lambda found: chr(92) + found[0], attribute.text)}".replace("\0", "\\00")


def _attributes(name: bytes, what: str) -> list[list[Attribute]]:
    """Return the attributes of each relative name, of which RFC 5280 forbids an empty one. Raises Malformed."""
    [sequence] = elements(name, what)
    relative_names = elements(sequence.content, what)
    if any(relative.tag != _SET for relative in relative_names):
        raise Malformed(f"{what} is not made of SETs")
    return [[_attribute(each, what) for each in elements(relative.content, what)] for relative in relative_names]


def _attribute(element: Element, what: str) -> Attribute:
    parts = elements(element.content, what)
    if element.tag != _SEQUENCE or len(parts) != 2 or parts[0].tag != _OID:
        raise Malformed(f"{what} has an attribute that is not a type and a value")
    value = parts[1]
    encoding = _ENCODINGS.get(value.tag)
    shown = value.content.decode(encoding, "replace") if encoding else f"#{value.whole.hex()}"
    return Attribute(object_identifier(parts[0].content), shown)


def _extensions(rest: list[Element]) -> Iterator[Extension]:
    for wrapper in rest:
        if wrapper.tag != _EXTENSIONS:
            continue
        for each in _inside(_elements_or_none(wrapper.content)):
            parts = _elements_or_none(each.content)
            if len(parts) >= 2 and parts[0].tag == _OID and parts[-1].tag == _OCTET_STRING:
                critical = parts[1].tag == _BOOLEAN and any(parts[1].content)
                yield Extension(object_identifier(parts[0].content), critical, parts[-1].content)


def _time(element: Element, what: str) -> datetime:
    match = _TIME.fullmatch(element.content.decode("ascii", "replace"))
    long = element.tag == _GENERALIZED_TIME
    if element.tag not in (_UTC_TIME, _GENERALIZED_TIME) or not match or (len(match[1]) == 4) is not long:
        raise Malformed(f"{what} is no time")
    year = int(match[1])
    if not long:
        year += 1900 if year >= _FIRST_OF_19 else 2000
    try:
        month, day, hour, minute, second = (int(match[number] or 0) for number in range(2, 7))
        found = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        offset = timedelta(hours=int(match[8] or 0), minutes=int(match[9] or 0))
        return found + offset if match[7] == "-" else found - offset
    except (ValueError, OverflowError) as error:
        raise Malformed(f"{what} is no time: {error}") from error


def object_identifier(content: bytes) -> ObjectIdentifier:
    """Return the object identifier in its content octets. Raises Malformed."""
    numbers, number = [], 0
    for octet in content:
        number = number << 7 | octet & 0x7F
        if octet < 0x80:
            numbers.append(number)
            number = 0
    if not numbers or content[-1] >= 0x80:
        raise Malformed("an object identifier is torn")
    first = min(numbers[0] // 40, 2)
    try:
        return ObjectIdentifier(".".join(map(str, [first, numbers[0] - 40 * first, *numbers[1:]])))
    except ValueError as error:
        raise Malformed("an object identifier is too long") from error


def elements(octets: bytes, what: str) -> list[Element]:
    """Return the DER elements that `octets` are made of; of a tag of several octets the first. Raises Malformed."""
    found, at = [], 0
    while at < len(octets):
        begin = at + 1
        if octets[at] & 0x1F == 0x1F:
            while begin < len(octets) and octets[begin] >= 0x80:
                begin += 1
            begin += 1
        if begin >= len(octets):
            raise Malformed(f"{what} is cut short")
        length, begin = octets[begin], begin + 1
        if length >= 0x80:
            octets_of_length = length & 0x7F
            if not 0 < octets_of_length <= 4:
                raise Malformed(f"{what} has a length that is not a definite one (X.690 10.1)")
            length = int.from_bytes(octets[begin : begin + octets_of_length])
            begin += octets_of_length
        if begin + length > len(octets):
            raise Malformed(f"{what} is shorter than it says")
        found.append(Element(octets[at], octets[begin : begin + length], octets[at : begin + length]))
        at = begin + length
    return found


def _elements_or_none(octets: bytes) -> list[Element]:
    try:
        return elements(octets, "the extension")
    except Malformed:
        return []


def _inside(elements: list[Element]) -> list[Element]:
    """Return the elements inside the first one, a SEQUENCE; none where they cannot be read."""
    if not elements or elements[0].tag not in (_SEQUENCE, _SET):
        return []
    return _elements_or_none(elements[0].content)
