"""Detects repeated certificates without an index.

Unique indexes are dropped while all certificates of a load are new. So a known certificate is never reported as new. A
new one is rarely reported as known, since hashes are compared; then the indexes are restored and asked (`merge`).
"""

from array import array
from collections.abc import Iterable

# 64 MiB, for what twice as many certificates need as make a large fleet.
_SLOTS = 1 << 24
_BITS = (1 << 64) - 1
# Of these, some 64 bytes each. Five million names have so many that find their slots taken.
_MOST_ELSEWHERE = 500_000


def name(issuer: bytes, serial: str) -> int:
    """Return a 64-bit hash of what identifies a certificate (RFC 5280 4.1.2.2): issuer and serial number (hexadecimal).

    A collision, even a deliberate one, only slows the import down, as a repeated certificate does.
    """
    # Of numbers, the hash is the same in all processes.
    return hash((int.from_bytes(issuer), int(serial, 16))) & _BITS


class Novelty:
    """The set of names seen so far: a table of slots, chosen by some bits of a name, that store other bits of it."""

    def __init__(self) -> None:
        self._marks = array("I", [0]) * _SLOTS
        # Names whose slot another one has.
        self._elsewhere: set[int] = set()

    def meet(self, names: Iterable[int]) -> bool:
        """Add names. Return whether all of them are new; False if in doubt."""
        marks, elsewhere = self._marks, self._elsewhere
        for each in names:
            slot = each % _SLOTS
            # Never zero, which is no mark.
            mark = each >> 32 | 1
            there = marks[slot]
            if not there:
                marks[slot] = mark
            elif there == mark or each in elsewhere:
                return False
            else:
                elsewhere.add(each)
        return len(elsewhere) <= _MOST_ELSEWHERE
