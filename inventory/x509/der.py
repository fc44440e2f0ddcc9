"""The subset of DER (X.690) that certificates, CRLs and OCSP need: building elements, and parsing untrusted ones.

The walker never recurses and never copies: depth and size of the input cost nothing that the caller did not ask for.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from mmap import mmap

Buffer = bytes | mmap

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
ENUMERATED = 0x0A
UTF8_STRING = 0x0C
PRINTABLE_STRING = 0x13
IA5_STRING = 0x16
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31

TRUE = b"\x01\x01\xff"

_CONSTRUCTED_CONTEXT = 0xA0
_PRIMITIVE_CONTEXT = 0x80


class DerError(ValueError):
    """The bytes are not the DER that was expected at this place."""


def explicit(number: int) -> int:
    """Return the tag of `[number]` around another element."""
    return _CONSTRUCTED_CONTEXT | number


def implicit(number: int) -> int:
    """Return the tag of `[number]` in the place of a primitive element's own."""
    return _PRIMITIVE_CONTEXT | number


def header(tag: int, length: int) -> bytes:
    """Return identifier and length octets (X.690 8.1.2, 10.1)."""
    if length < 0x80:
        return bytes((tag, length))
    if length < 0x100:
        return bytes((tag, 0x81, length))
    if length < 0x10000:
        return bytes((tag, 0x82, length >> 8, length & 0xFF))
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets


def element(tag: int, *contents: bytes) -> bytes:
    content = contents[0] if len(contents) == 1 else b"".join(contents)
    return header(tag, len(content)) + content


def integer(value: int, tag: int = INTEGER) -> bytes:
    """Return a signed integer in as few octets as it needs (X.690 8.3)."""
    magnitude = value if value >= 0 else ~value
    return element(tag, value.to_bytes(magnitude.bit_length() // 8 + 1, signed=True))


def object_identifier(dotted: str) -> bytes:
    """Return an object identifier (X.690 8.19): the first two arcs share a number, seven bits go to an octet."""
    first, second, *rest = map(int, dotted.split("."))
    return element(OBJECT_IDENTIFIER, *map(_base128, [first * 40 + second, *rest]))


def _base128(arc: int) -> bytes:
    octets = [arc & 0x7F]
    while arc := arc >> 7:
        octets.append(arc & 0x7F | 0x80)
    return bytes(reversed(octets))


def generalized_time(moment: datetime) -> bytes:
    """Return GeneralizedTime in whole seconds (RFC 5280 4.1.2.5.2). `moment` is in UTC."""
    return b"\x18\x0f%04d%02d%02d%02d%02d%02dZ" % moment.timetuple()[:6]


def time(moment: datetime) -> bytes:
    """Return UTCTime through the year 2049, GeneralizedTime from 2050 on (RFC 5280 4.1.2.5). `moment` is in UTC."""
    if not 1950 <= moment.year < 2050:
        return generalized_time(moment)
    return b"\x17\x0d%02d%02d%02d%02d%02d%02dZ" % (
        moment.year % 100,
        moment.month,
        moment.day,
        moment.hour,
        moment.minute,
        moment.second,
    )


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its tag, and where it and its content stand in the data."""

    data: Buffer
    tag: int
    start: int
    content_start: int
    end: int

    @property
    def der(self) -> bytes:
        return self.data[self.start : self.end]

    @property
    def content(self) -> bytes:
        return self.data[self.content_start : self.end]

    def inside(self) -> "Walk":
        return Walk(self.data, self.content_start, self.end)

    def as_integer(self) -> int:
        """Return the value of an INTEGER or ENUMERATED; superfluous leading octets are refused (X.690 8.3.2)."""
        content = self.content
        if not content:
            raise DerError("An integer has no octets.")
        if len(content) > 1 and (content[0], content[1] >> 7) in {(0x00, 0), (0xFF, 1)}:
            raise DerError("An integer begins with a superfluous octet.")
        return int.from_bytes(content, signed=True)

    def as_time(self) -> datetime:
        """Return the value of a UTCTime or GeneralizedTime in the form that RFC 5280 4.1.2.5 prescribes."""
        text = self.content.decode("ascii", "replace")
        if self.tag == UTC_TIME:
            # RFC 5280 4.1.2.5.1: two digits from 50 are of the 20th century.
            text = ("19" if text[:2] >= "50" else "20") + text
        if len(text) != len("YYYYMMDDHHMMSSZ") or not text[:-1].isdecimal() or not text.endswith("Z"):
            raise DerError("A time is not in UTC with seconds.")
        try:
            return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
        except ValueError as error:
            raise DerError("A time names no moment.") from error


class Walk:
    """Takes the elements between two offsets, one after the other."""

    __slots__ = ("_data", "_end", "_position")

    def __init__(self, data: Buffer, start: int = 0, end: int | None = None) -> None:
        self._data = data
        self._position = start
        self._end = len(data) if end is None else end

    @property
    def at_end(self) -> bool:
        return self._position == self._end

    def take(self, *tags: int) -> Element:
        """Return the next element and step over it. Raises DerError unless it has one of `tags`."""
        found = self._peek()
        if found.tag not in tags:
            raise DerError(f"Tag {found.tag:#04x} stands where {' or '.join(f'{tag:#04x}' for tag in tags)} is due.")
        self._position = found.end
        return found

    def take_if(self, tag: int) -> Element | None:
        """Return the next element and step over it if it has `tag`; otherwise stay and return None."""
        return None if self.at_end or self._data[self._position] != tag else self.take(tag)

    def take_all(self, tag: int) -> Iterable[Element]:
        while not self.at_end:
            yield self.take(tag)

    def finish(self) -> None:
        """Raise DerError when something stands after the last element taken."""
        if not self.at_end:
            raise DerError("Bytes stand after the last element.")

    def _peek(self) -> Element:
        data, start = self._data, self._position
        if self._end - start < 2:
            raise DerError("The data ends inside an element.")
        length, content_start = data[start + 1], start + 2
        if length >= 0x80:
            octets = length & 0x7F
            # 0x80 is BER's indefinite form; no input here is near 2^32 bytes.
            if not 1 <= octets <= 4 or content_start + octets > self._end:
                raise DerError("A length is indefinite, too long or cut off.")
            length = int.from_bytes(data[content_start : content_start + octets])
            if length < 0x80 or length >> (8 * (octets - 1)) == 0:
                raise DerError("A length is not in its shortest form.")
            content_start += octets
        if content_start + length > self._end:
            raise DerError("An element is longer than what contains it.")
        return Element(data, data[start], start, content_start, content_start + length)


def only_element(data: Buffer, tag: int) -> Element:
    """Return the one element that `data` consists of."""
    walk = Walk(data)
    found = walk.take(tag)
    walk.finish()
    return found
