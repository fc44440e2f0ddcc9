import math
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from renewal.field.route import tour

degrees = st.tuples(st.decimals(-90, 90, places=6, allow_nan=False), st.decimals(-180, 180, places=6, allow_nan=False))
stops = st.lists(st.tuples(st.integers(), st.none() | degrees), max_size=12)


def place(stop):
    return stop[1]


def chord(one, other) -> float:
    def point(at):
        latitude, longitude = map(math.radians, at)
        return (
            math.cos(latitude) * math.cos(longitude),
            math.cos(latitude) * math.sin(longitude),
            math.sin(latitude),
        )

    return math.dist(point(one), point(other))


@given(stops)
def test_each_stop_is_driven_to_once(given_):
    assert sorted(tour(given_, place), key=repr) == sorted(given_, key=repr)


@given(stops)
def test_stops_without_a_place_come_last_as_given(given_):
    driven = tour(given_, place)
    lost = [stop for stop in given_ if stop[1] is None]
    assert driven[len(given_) - len(lost) :] == lost


@given(stops)
def test_the_next_stop_is_the_nearest_of_those_left(given_):
    driven = [stop for stop in tour(given_, place) if stop[1] is not None]
    first = [stop for stop in given_ if stop[1] is not None][:1]
    assert driven[:1] == first
    for number, here in enumerate(driven[:-1]):
        next_, *later = driven[number + 1 :]
        assert all(chord(here[1], next_[1]) <= chord(here[1], other[1]) for other in later)


def test_the_antimeridian_is_no_wall():
    fiji, samoa, hawaii = (("Fiji", (Decimal(-17), Decimal(179))), ("Samoa", (Decimal(-14), Decimal(-172))),
                           ("Hawaii", (Decimal(20), Decimal(-156))))  # fmt: skip
    assert tour([fiji, hawaii, samoa], place) == [fiji, samoa, hawaii]
