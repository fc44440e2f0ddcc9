"""EST messages (RFC 7030, RFC 8951): bytes in, values out, and back. Pure."""

import base64
import binascii
import re
from collections.abc import Sequence

from inventory.x509 import der
from inventory.x509.keys import KeyType
from renewal.protocols import cms

_WHITESPACE = re.compile(rb"[ \t\r\n\v\f]+")
_LINE = 64


class MalformedBody(ValueError):
    """The body is not base64; the text says so to the device's developer."""


def decode_base64(body: bytes) -> bytes:
    """Return the bytes that `body` encodes, with any ASCII white space in it (RFC 8951 3.1). Raises MalformedBody."""
    try:
        return base64.b64decode(_WHITESPACE.sub(b"", body), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedBody("The body must be the base64 of a DER certification request.") from error


def certs_only(certificates: Sequence[bytes], *, one_line: bool) -> bytes:
    """Return the base64 of a certs-only CMS message (RFC 5652, RFC 7030 4.1.3) of certificates in DER.

    libest needs lines of 64, strongSwan 5.9.8 needs a single line.
    """
    text = base64.b64encode(cms.certs_only(certificates))
    if one_line:
        return text
    return b"".join(text[start : start + _LINE] + b"\n" for start in range(0, len(text), _LINE))


# RFC 5480 2.1.1, RFC 5758 3.2, RFC 8410 3, RFC 8017 A.2.
_EC, _RSA = "1.2.840.10045.2.1", "1.2.840.113549.1.1.1"
_SHA256_WITH_RSA = "1.2.840.113549.1.1.11"
_CURVES = {
    KeyType.EC_P256: ("1.2.840.10045.3.1.7", "1.2.840.10045.4.3.2"),
    KeyType.EC_P384: ("1.3.132.0.34", "1.2.840.10045.4.3.3"),
}
_ED25519 = "1.3.101.112"


def csr_attributes(key_type: KeyType) -> bytes:
    """Return the base64 of CsrAttrs (RFC 7030 4.5.2) that ask for a key of `key_type` and a hash that fits it.

    A client must follow all of them (RFC 8951 3.3), so there is one key type among them, whatever else is taken.
    """
    if key_type == KeyType.ED25519:
        wanted = [der.object_identifier(_ED25519)]
    elif curve := _CURVES.get(key_type):
        wanted = [_attribute(_EC, der.object_identifier(curve[0])), der.object_identifier(curve[1])]
    else:
        size = der.integer(int(key_type.removeprefix("rsa-")))
        wanted = [_attribute(_RSA, size), der.object_identifier(_SHA256_WITH_RSA)]
    return base64.b64encode(der.element(der.SEQUENCE, *wanted))


def _attribute(kind: str, value: bytes) -> bytes:
    return der.element(der.SEQUENCE, der.object_identifier(kind), der.element(der.SET, value))


def basic_credentials(header: str) -> tuple[str, str] | None:
    """Return user and password of an HTTP Basic Authorization header (RFC 7617), or None when it is no such header."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    user, colon, password = text.partition(":")
    return (user, password) if colon and "\0" not in text else None
