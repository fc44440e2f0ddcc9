"""In which order to drive to devices: a tour that always goes on to the nearest one. Pure."""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar

T = TypeVar("T")
# Decimal degrees: latitude and longitude.
Place = tuple[Decimal, Decimal]


def tour(stops: Sequence[T], place_of: Callable[[T], Place | None]) -> list[T]:
    """Return `stops` in the order to drive: the first with a place first, then always the nearest of those left.

    Of equally near ones the first given comes first; those without a place come last, as given. Costs the square of
    their number: for a few hundred.
    """
    placed = [(stop, _on_sphere(place)) for stop in stops if (place := place_of(stop)) is not None]
    unplaced = [stop for stop in stops if place_of(stop) is None]
    if not placed:
        return unplaced
    driven = [placed.pop(0)]
    while placed:
        _stop, here = driven[-1]
        nearest = min(range(len(placed)), key=lambda number: math.dist(here, placed[number][1]))
        driven.append(placed.pop(nearest))
    return [stop for stop, _place in driven] + unplaced


def _on_sphere(place: Place) -> tuple[float, float, float]:
    """Return the point on the unit sphere: chords are in the order of distances, past the 180th meridian too."""
    latitude, longitude = math.radians(place[0]), math.radians(place[1])
    return (
        math.cos(latitude) * math.cos(longitude),
        math.cos(latitude) * math.sin(longitude),
        math.sin(latitude),
    )
