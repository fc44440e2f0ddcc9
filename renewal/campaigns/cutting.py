"""Which site's devices belong to which wave. Pure.

By expiry: the site whose certificates end first comes first. A site is in one wave, unless it is larger than a wave:
then its parts are in waves that are no neighbours, as long as other sites can go in between. So what goes wrong in one
wave does not meet the same site in the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

# Sites that are tried when the next one does not fit: a wave is filled well, and thousands of sites are cut at once.
_LOOK_AHEAD = 64


@dataclass(frozen=True)
class SiteLoad:
    """How many devices of a site there are, and when the first of their certificates ends. None: without a site."""

    site: int | None
    number: int
    first_end: datetime


@dataclass(frozen=True)
class Piece:
    """The devices of a site from place `first`, 1 for the one whose certificate ends first, on."""

    site: int | None
    first: int
    wave: int


@dataclass
class _Left:
    site: int | None
    first: int
    number: int


def cut(sites: Sequence[SiteLoad], size: int, first_wave: int) -> list[Piece]:
    """Cut `sites` into waves of at most `size` devices, the first of which is `first_wave`."""
    waiting = [_Left(each.site, 1, each.number) for each in sorted(sites, key=_order) if each.number]
    pieces: list[Piece] = []
    wave, before = first_wave, frozenset[int]()
    while waiting:
        room, inside = size, set[int]()
        for left in _fitting(waiting, before):
            taken = _taken(left, room, size)
            if taken:
                pieces.append(Piece(left.site, left.first, wave))
                left.first, left.number, room = left.first + taken, left.number - taken, room - taken
                if left.site is not None:
                    inside.add(left.site)
        waiting = [left for left in waiting if left.number]
        wave, before = wave + 1, frozenset(inside)
    return pieces


def _order(load: SiteLoad) -> tuple[datetime, int]:
    return load.first_end, -1 if load.site is None else load.site


def _fitting(waiting: Sequence[_Left], before: frozenset[int]) -> Sequence[_Left]:
    """Return what may go into a wave; when only sites of the wave before are left, the first of them."""
    ahead = [left for left in waiting[:_LOOK_AHEAD] if left.site not in before]
    return ahead or waiting[:1]


def _taken(left: _Left, room: int, size: int) -> int:
    """Return how many devices go into a wave with `room`: devices without a site as many as fit, a site whole or not.

    Of a site that is larger than a wave, as many as a wave takes, which leaves no room for others.
    """
    if left.site is None:
        return min(left.number, room)
    wanted = min(left.number, size)
    return wanted if wanted <= room else 0
