"""Subjects of devices, as DER and as text, from a profile's template that is read once.

What `names.subject` gives, at a fraction of its cost for plain values: those that are written alike in every string
type, and in text without an escape. For any other value `names.subject` itself is asked, and refuses what it refuses.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from cryptography import x509
from cryptography.x509.oid import NameOID

from inventory.x509 import der, names

_PLAIN = re.compile(r"[A-Za-z0-9./:-]+(?: [A-Za-z0-9./:-]+)*")
# Attributes whose length is prescribed: the reference knows it.
_OF_FIXED_LENGTH = frozenset({NameOID.COUNTRY_NAME, NameOID.JURISDICTION_COUNTRY_NAME})


class Subject(NamedTuple):
    """A name in DER and in the text of RFC 4514."""

    der: bytes
    text: str


def encoded(name: x509.Name) -> Subject:
    return Subject(name.public_bytes(), name.rfc4514_string())


def subject(template: str, values: Mapping[str, str]) -> Subject:
    """Return the subject that `template` (RFC 4514) gives for `values`. Raises NameTemplateError."""
    parts = _compiled(template)
    filled = None if parts is None else _filled(parts, values)
    return filled or encoded(names.subject(template, values))


@dataclass(frozen=True, slots=True)
class _Constant:
    """A relative name without a placeholder."""

    der: bytes
    text: str


@dataclass(frozen=True, slots=True)
class _Hole:
    """A relative name of one attribute. `pieces` are text and the names of placeholders in turn."""

    oid: bytes
    string_type: int
    label: str
    pieces: tuple[str, ...]
    most: int


@lru_cache(maxsize=1024)
def _compiled(template: str) -> tuple[_Constant | _Hole, ...] | None:
    """Return the relative names of `template`, or None when only the reference can fill it, or refuse it."""
    try:
        found = [_relative_name(relative) for relative in x509.Name.from_rfc4514_string(template).rdns]
    except ValueError:
        return None
    parts = tuple(part for part in found if part is not None)
    return parts if len(parts) == len(found) else None


def _relative_name(relative: x509.RelativeDistinguishedName) -> _Constant | _Hole | None:
    attribute, *others = relative
    if others or not isinstance(attribute.value, str):
        return None
    pieces = tuple(names.PLACEHOLDER.split(attribute.value))
    if len(pieces) == 1:
        # A name of its own goes through every check of the reference.
        whole = names.subject(attribute.rfc4514_string(), {})
        return _Constant(_inside(whole.public_bytes()), whole.rfc4514_string())
    if attribute.oid in _OF_FIXED_LENGTH or not names.PLACEHOLDERS.issuperset(pieces[1::2]):
        return None
    sample = x509.Name([x509.NameAttribute(attribute.oid, "sample")]).public_bytes()
    pair = der.Walk(_inside(sample)).take(der.SET).inside().take(der.SEQUENCE).inside()
    oid = pair.take(der.OBJECT_IDENTIFIER).der
    string_type = pair.take(der.UTF8_STRING, der.PRINTABLE_STRING, der.IA5_STRING).tag
    return _Hole(oid, string_type, attribute.rfc4514_attribute_name, pieces, names.most_characters(attribute.oid))


def _inside(name: bytes) -> bytes:
    """Return the relative names of a name in DER."""
    return der.only_element(name, der.SEQUENCE).content


def _filled(parts: tuple[_Constant | _Hole, ...], values: Mapping[str, str]) -> Subject | None:
    """Return the subject, or None when the reference must say it."""
    encodings, texts = [], []
    for part in parts:
        if isinstance(part, _Constant):
            encodings.append(part.der)
            texts.append(part.text)
            continue
        value = "".join([values.get(piece, "") if number & 1 else piece for number, piece in enumerate(part.pieces)])
        if not value:
            continue
        if len(value) > part.most or not _PLAIN.fullmatch(value):
            return None
        string = der.element(part.string_type, value.encode("ascii"))
        encodings.append(der.element(der.SET, der.element(der.SEQUENCE, part.oid, string)))
        texts.append(f"{part.label}={value}")
    # RFC 4514 2.1: text begins with the last relative name.
    text = ",".join(reversed(texts))
    if len(text) > names.MAX_SUBJECT_CHARACTERS:
        return None
    return Subject(der.element(der.SEQUENCE, *encodings), text)
