"""The text of plain distinguished names, read straight from DER: what nearly all devices have, at a fifth of the cost.

Anything out of the ordinary is left to the library, whose spelling this one's is (a test compares them).
"""

import re
from functools import lru_cache

# X.520 attributes by the DER of their object identifiers, with the short names of RFC 4514 3.
_SHORT_NAMES = {
    bytes.fromhex("0603550403"): "CN",
    bytes.fromhex("0603550406"): "C",
    bytes.fromhex("0603550407"): "L",
    bytes.fromhex("0603550408"): "ST",
    bytes.fromhex("060355040a"): "O",
    bytes.fromhex("060355040b"): "OU",
    bytes.fromhex("0603550405"): "2.5.4.5",
}
_OID_OCTETS = 5
_UTF8, _PRINTABLE, _IA5 = 0x0C, 0x13, 0x16
# RFC 4514 2.4: none of these needs an escape, at the beginning and the end either.
# No underscore: a PrintableString has none (X.680 41.4).
_SAFE = re.compile(rb"[A-Za-z0-9.:-](?:[A-Za-z0-9 .:/()-]*[A-Za-z0-9.:-])?")
_SET, _SEQUENCE = 0x31, 0x30


def content(der: bytes, at: int) -> tuple[int, int]:
    """Return where the content of the element at `at` begins and ends, in DER that has been parsed strictly."""
    length = der[at + 1]
    if length < 0x80:
        return at + 2, at + 2 + length
    begin = at + 2 + (length & 0x7F)
    return begin, begin + int.from_bytes(der[at + 2 : begin])


def text(name: bytes) -> str:
    """Return a Name (DER) as text (RFC 4514), or nothing when it is not a plain one."""
    at, end = content(name, 0)
    parts = []
    while at < end:
        _, following = content(name, at)
        part = _relative_name(name[at:following])
        if not part:
            return ""
        parts.append(part)
        at = following
    return ",".join(reversed(parts))


# An organization is the same in millions of names.
@lru_cache(maxsize=4096)
def _relative_name(der: bytes) -> str:
    begin, end = content(der, 0)
    if begin == end:
        return ""  # which RFC 5280 4.1.2.4 forbids, and the library tells of when it reads the name
    inner, inner_end = content(der, begin)
    if der[0] != _SET or der[begin] != _SEQUENCE or inner_end != end or inner_end - inner <= _OID_OCTETS + 1:
        return ""
    short = _SHORT_NAMES.get(der[inner : inner + _OID_OCTETS])
    value_at = inner + _OID_OCTETS
    if short is None or der[value_at] not in (_UTF8, _PRINTABLE, _IA5):
        return ""
    begin, end = content(der, value_at)
    value = der[begin:end]
    return f"{short}={value.decode('ascii')}" if _SAFE.fullmatch(value) else ""
