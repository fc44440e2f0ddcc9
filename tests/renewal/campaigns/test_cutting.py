"""Sites cut into waves: nothing lost, nothing twice, and no site in two neighbouring waves."""

from collections import Counter
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from renewal.campaigns.cutting import Piece, SiteLoad, cut
from tests.factories import NOW

DAY = timedelta(days=1)

loads = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 90)), min_size=1, max_size=40).map(
    lambda rows: [SiteLoad(number or None, size, NOW + day * DAY) for number, (size, day) in enumerate(rows)]
)


def sizes(sites: list[SiteLoad], pieces: list[Piece]) -> dict[Piece, int]:
    """Return how many devices are in each piece: up to the next piece of its site, or to the end of the site."""
    total = {each.site: each.number for each in sites}
    of_site: dict[int | None, list[Piece]] = {}
    for piece in pieces:
        of_site.setdefault(piece.site, []).append(piece)
    found: dict[Piece, int] = {}
    for site, listed in of_site.items():
        ends = [piece.first for piece in listed[1:]] + [total[site] + 1]
        found |= {piece: end - piece.first for piece, end in zip(listed, ends, strict=True)}
    return found


@given(sites=loads, size=st.integers(1, 400), first=st.integers(1, 2))
def test_every_device_is_in_one_wave_and_no_wave_is_larger_than_was_asked(sites, size, first):
    pieces = cut(sites, size, first)
    found = sizes(sites, pieces)
    assert all(number > 0 for number in found.values())
    assert sum(found.values()) == sum(each.number for each in sites)
    waves: Counter[int] = Counter()
    for piece, number in found.items():
        waves[piece.wave] += number
    assert max(waves.values(), default=0) <= size
    assert sorted(waves) == list(range(first, first + len(waves)))


@given(sites=loads, size=st.integers(1, 400))
def test_neighbouring_waves_share_a_site_only_when_no_other_is_left(sites, size):
    pieces = cut(sites, size, 1)
    last = max((piece.wave for piece in pieces), default=0)
    inside = {wave: {p.site for p in pieces if p.wave == wave and p.site is not None} for wave in range(1, last + 1)}
    for wave in range(2, last + 1):
        if inside[wave] & inside[wave - 1]:
            # From then on, everything is of the sites of that wave before.
            assert {p.site for p in pieces if p.wave >= wave} <= inside[wave - 1]


def test_sites_come_in_the_order_in_which_their_certificates_end():
    sites = [SiteLoad(1, 10, NOW + 3 * DAY), SiteLoad(2, 10, NOW + DAY), SiteLoad(3, 10, NOW + 2 * DAY)]
    assert cut(sites, 10, 1) == [Piece(2, 1, 1), Piece(3, 1, 2), Piece(1, 1, 3)]


def test_a_site_larger_than_a_wave_takes_every_other_wave():
    sites = [SiteLoad(1, 25, NOW), SiteLoad(2, 10, NOW + DAY), SiteLoad(3, 10, NOW + DAY)]
    assert cut(sites, 10, 1) == [
        Piece(1, 1, 1), Piece(2, 1, 2), Piece(1, 11, 3), Piece(3, 1, 4), Piece(1, 21, 5),
    ]  # fmt: skip
