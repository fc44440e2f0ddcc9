"""Parses serial numbers as people and tools write them."""

import re

# RFC 5280 4.1.2.2: at most 20 octets. Twenty octets have 49 decimal digits.
_HEX = re.compile(r"^0*[0-9a-f]{1,40}\Z")
_DECIMAL = re.compile(r"^[0-9]{1,49}\Z")
_LARGEST = (1 << 160) - 1


def hexadecimal(text: str) -> str | None:
    """Return the digits of a serial number or fingerprint as logs and tools print them, in lower case, or None.

    Colons, dashes, white space and `0x` are dropped.
    """
    digits = re.sub(r"[:\s]|(?<=[0-9a-f])-(?=[0-9a-f])", "", text.lower()).removeprefix("0x")
    return digits if re.fullmatch(r"[0-9a-f]+", digits) else None


def stored_forms(text: str) -> set[str]:
    """Return what `text` may mean, each in the form that `Certificate.serial` keeps (lower-case hexadecimal).

    Accepts hexadecimal in either case, with or without colons, dashes, spaces and leading zeros, and decimal. Digits
    alone may be either, so both readings are returned. Empty: `text` is no serial number.
    """
    forms = set()
    digits = hexadecimal(text)
    if digits and _HEX.match(digits):
        forms.add(digits.lstrip("0"))
    if _DECIMAL.match(text.strip()) and (number := int(text)) <= _LARGEST:
        forms.add(f"{number:x}")
    return forms - {"", "0"}
