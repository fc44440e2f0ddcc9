"""Distinguished names, as DER and as the text of RFC 4514 and RFC 2253, brought to one form that can be compared. Pure.

OpenSSL, and so nginx, calls attributes by its own short names (`emailAddress`), and prints the DER of a value whose
attribute it cannot name or that is no string (`1.2.3.4=#0C0161`). The library reads neither.
"""

import re
from collections.abc import Iterator

from inventory.x509 import lenient

# An object identifier, and the text of the value; of a value that is no string its DER.
Attribute = tuple[str, str | bytes]
# Relative names in the order of the certificate. The attributes of one have no order (X.501 9.3).
ComparableName = tuple[frozenset[Attribute], ...]

# The short names of OpenSSL (crypto/objects/objects.txt), which are those of RFC 4514 3 and more. Case does not matter.
_OBJECT_IDENTIFIERS = {
    "cn": "2.5.4.3", "sn": "2.5.4.4", "serialnumber": "2.5.4.5", "c": "2.5.4.6", "l": "2.5.4.7", "st": "2.5.4.8",
    "street": "2.5.4.9", "o": "2.5.4.10", "ou": "2.5.4.11", "title": "2.5.4.12", "description": "2.5.4.13",
    "businesscategory": "2.5.4.15", "postaladdress": "2.5.4.16", "postalcode": "2.5.4.17", "name": "2.5.4.41",
    "gn": "2.5.4.42", "initials": "2.5.4.43", "generationqualifier": "2.5.4.44", "x500uniqueidentifier": "2.5.4.45",
    "dnqualifier": "2.5.4.46", "pseudonym": "2.5.4.65", "role": "2.5.4.72", "organizationidentifier": "2.5.4.97",
    "uid": "0.9.2342.19200300.100.1.1", "dc": "0.9.2342.19200300.100.1.25",
    "emailaddress": "1.2.840.113549.1.9.1", "unstructuredname": "1.2.840.113549.1.9.2",
    "unstructuredaddress": "1.2.840.113549.1.9.8", "jurisdictionl": "1.3.6.1.4.1.311.60.2.1.1",
    "jurisdictionst": "1.3.6.1.4.1.311.60.2.1.2", "jurisdictionc": "1.3.6.1.4.1.311.60.2.1.3",
    "inn": "1.2.643.3.131.1.1", "ogrn": "1.2.643.100.1", "snils": "1.2.643.100.3",
}  # fmt: skip
# String types by their tags, decoded as OpenSSL prints them: what has one octet a character is taken as Latin-1.
_ENCODINGS = {
    0x0C: "utf-8", 0x12: "latin-1", 0x13: "latin-1", 0x14: "latin-1", 0x16: "latin-1", 0x1A: "latin-1",
    0x1C: "utf-32-be", 0x1E: "utf-16-be",
}  # fmt: skip

_PART = re.compile(r"(?P<attribute>(?:[^\\,;+]|\\.)*)(?P<end>[,;+]|\Z)", re.S)
# RFC 2253 4: blanks around a separator, and `OID.` before an object identifier, are read and mean nothing.
_TYPE = re.compile(r" *(?:(?:OID\.)?(?P<oid>[0-9]+(?:\.[0-9]+)+)|(?P<name>[A-Za-z][A-Za-z0-9-]*)) *", re.A | re.I)
_VALUE = re.compile(r" *(|(?:\\.|[^\\ ])(?:(?:\\.|[^\\])*(?:\\.|[^\\ ]))?) *", re.S)
_ESCAPE = re.compile(rb"\\(?:([0-9A-Fa-f]{2})|(.))", re.S)


class UnreadableName(ValueError):
    """The text is no distinguished name, or calls an attribute by a name that is unknown here."""


def from_text(text: str) -> ComparableName:
    """Return the name that `text` spells. Raises UnreadableName."""
    return tuple(reversed(list(_relative_names(text))))


def from_der(name: bytes) -> ComparableName:
    """Return the name whose DER is `name`; relative names without an attribute are left out. Raises ValueError."""
    [sequence] = lenient.elements(name, "a name")
    relative_names = [lenient.elements(each.content, "a name") for each in lenient.elements(sequence.content, "a name")]
    return tuple(frozenset(map(_attribute, attributes)) for attributes in relative_names if attributes)


def _attribute(element: lenient.Element) -> Attribute:
    oid, value = lenient.elements(element.content, "an attribute")
    return lenient.object_identifier(oid.content).dotted_string, _value(value)


def _value(element: lenient.Element) -> str | bytes:
    encoding = _ENCODINGS.get(element.tag)
    return element.content.decode(encoding, "replace") if encoding else element.whole


def _relative_names(text: str) -> Iterator[frozenset[Attribute]]:
    """Give the relative names in the order of the text."""
    attributes: set[Attribute] = set()
    at, end = 0, ","
    while end:
        part = _PART.match(text, at)
        if part is None:
            raise UnreadableName("A backslash escapes nothing.")
        attributes.add(_spelled(part["attribute"]))
        at, end = part.end(), part["end"]
        if end != "+":
            yield frozenset(attributes)
            attributes = set()


def _spelled(text: str) -> Attribute:
    """Read an attribute, `type=value`."""
    before, equals, after = text.partition("=")
    kind, value = _TYPE.fullmatch(before), _VALUE.fullmatch(after)
    oid = kind and (kind["oid"] or _OBJECT_IDENTIFIERS.get(kind["name"].lower()))
    if not equals or not oid or not value:
        raise UnreadableName(f"{text!r} is not an attribute and its value, or the attribute is unknown.")
    if value[1].startswith("#"):
        return oid, _dumped(value[1])
    octets = _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else found[2], value[1].encode())
    return oid, octets.decode("utf-8", "replace")


def _dumped(value: str) -> str | bytes:
    """Read the hexadecimal DER of a value (RFC 4514 2.4)."""
    try:
        [element] = lenient.elements(bytes.fromhex(value[1:]), "the value")
    except ValueError as error:
        raise UnreadableName(f"{value!r} is not the DER of one value.") from error
    return _value(element)
