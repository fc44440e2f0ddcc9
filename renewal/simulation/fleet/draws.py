"""Random numbers that depend on what is asked, not on when: a stream for each concern, a place in it for each question.

So two concerns never share a number, a question asked twice has one answer, and a scenario that changes one number
leaves the luck of every meter in all else as it was: what differs between two runs is the change. Pure.
"""

import math
from hashlib import blake2b
from struct import Struct

_OCTETS = 8
# By how many numbers a place has.
_PLACES = tuple(Struct(f"{numbers}q").pack for numbers in range(5))
_RANGE = float(1 << (8 * _OCTETS))


class Draws:
    """The stream of one concern of one seed."""

    def __init__(self, seed: int, concern: str) -> None:
        key = blake2b(f"{seed} {concern}".encode(), digest_size=16).digest()
        # Copied for each question, which is sooner done than to key it again.
        self._keyed = blake2b(digest_size=_OCTETS, key=key)

    def uniform(self, *place: int) -> float:
        """Return the number at this place, 0 <= number < 1."""
        asked = self._keyed.copy()
        asked.update(_PLACES[len(place)](*place))
        # Of 64 bits a float keeps 53: the largest ones would become 1.
        return (int.from_bytes(asked.digest()) >> 11 << 11) / _RANGE

    def exponential(self, mean: float, *place: int) -> float:
        """Return the number at this place of an exponential distribution, in the unit of `mean`."""
        return -mean * math.log(1.0 - self.uniform(*place))
