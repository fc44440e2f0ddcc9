"""What a first load has met before, told without an index.

Unique indexes are put off while the certificates of a load are new one and all. So this never says that a certificate
is new when it is not. It may rarely doubt one that is, for hashes are compared; then indexes are asked (`merging`).
"""

from array import array
from collections.abc import Iterable

# 64 MiB, for what twice as many certificates need as make a large fleet.
_SLOTS = 1 << 24
_BITS = (1 << 64) - 1
# Of these, some 64 bytes each. Five million names have so many that find their slots taken.
_MOST_ELSEWHERE = 500_000


def name(issuer: bytes, serial: str) -> int:
    """Return 64 bits for what names a certificate, its issuer and serial number in hex (RFC 5280 4.1.2.2).

    Whoever chooses names so that these are equal has his import slowed down, as if it named a certificate twice.
    """
    # Of numbers, the hash is the same in all processes.
    return hash((int.from_bytes(issuer), int(serial, 16))) & _BITS


class Novelty:
    """The names that were met. Each has a slot by some of its bits, in which others of them are its mark."""

    def __init__(self) -> None:
        self._marks = array("I", [0]) * _SLOTS
        # Names whose slot another one has.
        self._elsewhere: set[int] = set()

    def meet(self, names: Iterable[int]) -> bool:
        """Remember names; return whether each was met for the first time, false when in doubt."""
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
