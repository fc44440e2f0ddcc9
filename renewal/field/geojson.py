"""Work orders on a map: GeoJSON (RFC 7946). Pure."""

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from renewal.field.itinerary import note_of, place_of
from renewal.models import WorkOrder

MEDIA_TYPE = "application/geo+json"


def geojson(orders: Iterable[WorkOrder], address_of: Callable[[int], str]) -> bytes:
    """Return a FeatureCollection with a point for each order, without a geometry where nobody knows the place.

    The orders must come `with_facts`; `address_of` gives the page of an order by its id.
    """
    features = [
        {"type": "Feature", "id": order.pk, "geometry": _point(order), "properties": _properties(order, address_of)}
        for order in orders
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False).encode()


def _point(order: WorkOrder) -> dict[str, Any] | None:
    place = place_of(order)
    if place is None:
        return None
    latitude, longitude = place
    # RFC 7946 3.1.1: longitude first.
    return {"type": "Point", "coordinates": [float(longitude), float(latitude)]}


def _properties(order: WorkOrder, address_of: Callable[[int], str]) -> dict[str, Any]:
    note = note_of(order)
    return {
        "device": order.device.serial,
        "fleet": order.device.fleet.slug,
        "site": order.device.site.name if order.device.site else None,
        "due_at": _text(order.due_at),
        "go_from": _text(order.go_from),
        "last_seen_at": _text(order.device.last_seen_at),
        "attempts": order.target.attempts_made,
        "model": note.model if note else "",
        "battery": note.battery if note else "",
        "sim": note.sim if note else "",
        "team": order.team.name if order.team else None,
        "assigned_to": order.assigned_to.get_username() if order.assigned_to else None,
        "outcome": order.outcome or None,
        "url": address_of(order.pk),
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
