"""EST messages (RFC 7030, RFC 8951): bytes in, values out, and back. Pure."""

import base64
import binascii
import re
from collections.abc import Sequence

from inventory.x509 import der

_WHITESPACE = re.compile(rb"[ \t\r\n\v\f]+")
_LINE = 64
_SIGNED_DATA = der.object_identifier("1.2.840.113549.1.7.2")
_DATA = der.object_identifier("1.2.840.113549.1.7.1")
_EMPTY_SET = der.element(der.SET)


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
    signed_data = der.element(
        der.SEQUENCE,
        der.integer(1),
        _EMPTY_SET,
        der.element(der.SEQUENCE, _DATA),
        # A SET OF, which DER orders (X.690 11.6).
        der.element(der.explicit(0), *sorted(certificates)),
        _EMPTY_SET,
    )
    text = base64.b64encode(der.element(der.SEQUENCE, _SIGNED_DATA, der.element(der.explicit(0), signed_data)))
    if one_line:
        return text
    return b"".join(text[start : start + _LINE] + b"\n" for start in range(0, len(text), _LINE))


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
