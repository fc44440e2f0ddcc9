"""EST messages (RFC 7030, RFC 8951): bytes in, values out, and back. Pure."""

import base64
import binascii
import re
from collections.abc import Sequence

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
