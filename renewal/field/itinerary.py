"""Work orders as they are driven to: site by site, and within a site along a route."""

from collections.abc import Iterable
from dataclasses import dataclass

from renewal.field.route import Place, tour
from renewal.models import DeviceNote, WorkOrder


@dataclass(frozen=True)
class Leg:
    """The orders of one site in the order of the route; `site` is empty for devices that have none."""

    site: str
    orders: list[WorkOrder]


def itinerary(orders: Iterable[WorkOrder]) -> list[Leg]:
    """Return the legs, that with the most urgent order first. A route begins at its most urgent order.

    The orders must come with their devices and sites.
    """
    by_site: dict[int | None, list[WorkOrder]] = {}
    for order in sorted(orders, key=lambda each: (each.due_at, each.pk)):
        by_site.setdefault(order.device.site_id, []).append(order)
    return [
        Leg(stops[0].device.site.name if stops[0].device.site else "", tour(stops, place_of))
        for stops in by_site.values()
    ]


def place_of(order: WorkOrder) -> Place | None:
    """Return where the device of an order stands, None when nobody knows."""
    device = order.device
    if device.latitude is None or device.longitude is None:
        return None
    return device.latitude, device.longitude


def note_of(order: WorkOrder) -> DeviceNote | None:
    """Return the note on the device of an order, None when it has none."""
    found: DeviceNote | None = getattr(order.device, "note", None)
    return found
