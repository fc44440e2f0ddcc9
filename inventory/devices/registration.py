"""Bulk registration and change of devices: each row has its own result, the number of statements is fixed.

What a row says is checked before, by itself; here it is checked against the inventory. A row is taken whole or not at
all, and one that is refused keeps no other from being taken.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q

from inventory.audit.changes import changed
from inventory.audit.record import Actor, event, record
from inventory.devices.bulk_results import Refused, Result, RowOutcome, in_one_transaction
from inventory.models import AuditAction, Batch, Device, DevicePresence, Fleet, FleetIds, Site

# What of a device can be changed. Fleet and serial stand in certificates: with others it is another device.
CHANGEABLE = ("batch", "site", "latitude", "longitude", "mqtt_id", "phone_number", "connectivity", "status")
_UPDATE = """
    UPDATE inventory_device device
    SET batch_id = changed.batch_id, site_id = changed.site_id, latitude = changed.latitude,
        longitude = changed.longitude, mqtt_id = changed.mqtt_id, phone_number = changed.phone_number,
        connectivity = changed.connectivity, status = changed.status
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::numeric[], %s::numeric[], %s::varchar[], %s::varchar[],
                %s::varchar[], %s::varchar[])
        AS changed (id, batch_id, site_id, latitude, longitude, mqtt_id, phone_number, connectivity, status)
    WHERE device.id = changed.id"""
_UPDATED = (
    "id", "batch_id", "site_id", "latitude", "longitude", "mqtt_id", "phone_number", "connectivity", "status",
)  # fmt: skip


@dataclass(frozen=True)
class Registration:
    """A device to register. `values`: some of CHANGEABLE, validated; sites and batches by their names in the fleet."""

    fleet: str
    serial: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """A change of one device, identified by its id or by fleet and serial. `values` as in a Registration.

    `stale` is called under the lock: it tells whether the device has changed since the caller read it.
    """

    values: Mapping[str, Any]
    id: int | None = None
    fleet: str = ""
    serial: str = ""
    stale: Callable[[Device], bool] = lambda _device: False


def register(
    registrations: Mapping[int, Registration], now: datetime, actor: Actor, within: FleetIds = None
) -> dict[int, Result[Device]]:
    """Register devices in the fleets `within`, given by their places in a request; return what became of each.

    At most seven statements, whatever the number.
    """
    return in_one_transaction(lambda: _register(registrations, now, actor, within))


def change(
    changes: Mapping[int, Change], now: datetime, actor: Actor, within: FleetIds = None
) -> dict[int, Result[Device]]:
    """Change devices of the fleets `within`, given by their places in a request; return what became of each.

    At most eight statements, whatever the number.
    """
    return in_one_transaction(lambda: _change(changes, now, actor, within))


# --- Registering ----------------------------------------------------------------------------------------------------


def _register(
    registrations: Mapping[int, Registration], now: datetime, actor: Actor, within: FleetIds
) -> dict[int, Result[Device]]:
    fleets = fleets_named((each.fleet for each in registrations.values()), within)
    places = _Places(fleets.values(), [each.values for each in registrations.values()])
    serials = _Taken("serial", "device serial", fleets.values(), [each.serial for each in registrations.values()])
    mqtt_ids = _Taken(
        "mqtt_id",
        "MQTT client id",
        fleets.values(),
        [each.values.get("mqtt_id", "") for each in registrations.values()],
    )
    results: dict[int, Result[Device]] = {}
    made: list[Device] = []
    for place, each in registrations.items():
        try:
            fleet = fleet_of(fleets, each.fleet)
            device = Device(fleet=fleet, serial=each.serial, registered_at=now)
            for field, value in each.values.items():
                setattr(device, field, places.find(field, fleet, value) if field in places.kinds else value)
            _check_coordinates(device)
            serials.check(device)
            mqtt_ids.check(device)
        except Refused as refusal:
            results[place] = refusal.result()
            continue
        serials.take(device, place)
        mqtt_ids.take(device, place)
        made.append(device)
        results[place] = Result(RowOutcome.REGISTERED, device)
    Device.objects.bulk_create(made)
    for device in made:
        # As the database made it: nobody has seen the device yet.
        device.presence = DevicePresence(device=device)
    action = AuditAction.DEVICE_REGISTERED
    record(event(action, now=now, actor=actor, object_name=device.serial, device=device) for device in made)
    return results


# --- Changing -------------------------------------------------------------------------------------------------------


def _change(changes: Mapping[int, Change], now: datetime, actor: Actor, within: FleetIds) -> dict[int, Result[Device]]:
    fleets = fleets_named((each.fleet for each in changes.values() if each.id is None), within)
    devices = _locked(changes, fleets, within)
    by_id = {device.pk: device for device in devices}
    by_serial = {(device.fleet_id, device.serial): device for device in devices}
    of_devices = {device.fleet for device in devices}
    places = _Places(of_devices, [each.values for each in changes.values()])
    mqtt_ids = _Taken(
        "mqtt_id", "MQTT client id", of_devices, [each.values.get("mqtt_id", "") for each in changes.values()]
    )
    results: dict[int, Result[Device]] = {}
    first: dict[int, int] = {}
    written: list[tuple[Device, dict[str, Any]]] = []
    for place, each in changes.items():
        try:
            if each.id is not None:
                device = by_id.get(each.id)
            else:
                device = by_serial.get((fleet_of(fleets, each.fleet).pk, each.serial))
            if device is None:
                raise Refused("id" if each.id is not None else "serial", "There is no such device.")
            if device.pk in first:
                raise Refused("id", f"Item {first[device.pk]} of this request, counted from 0, is about this device.")
            if each.stale(device):
                raise Refused("etag", "The device is no longer as this ETag says. Read it again and decide anew.")
            differences = _apply(device, each.values, places, mqtt_ids, place)
        except Refused as refusal:
            results[place] = refusal.result()
            continue
        first[device.pk] = place
        if differences:
            written.append((device, differences))
        results[place] = Result(RowOutcome.CHANGED if differences else RowOutcome.UNCHANGED, device)
    _write([device for device, _differences in written])
    record(changed(device, differences, actor=actor, now=now) for device, differences in written)
    return results


def _locked(changes: Mapping[int, Change], fleets: Mapping[str, Fleet], within: FleetIds) -> list[Device]:
    """Lock the devices, in the order of their keys as everybody does. FOR UPDATE: some may move (migration 0004).

    Read after that: a statement that waited for a lock has seen the sites and batches of before.
    """
    named = Q(pk__in=[each.id for each in changes.values() if each.id is not None])
    if fleets:
        serials = [each.serial for each in changes.values() if each.id is None]
        named |= Q(fleet__in=fleets.values(), serial__in=serials)
    seen = Device.objects.of_fleets(within).select_for_update()
    locked = list(seen.filter(named).order_by("pk").values_list("pk", flat=True))
    return list(Device.objects.select_related("fleet", "site", "batch", "presence").filter(pk__in=locked))


def _apply(
    device: Device, values: Mapping[str, Any], places: "_Places", mqtt_ids: "_Taken", place: int
) -> dict[str, Any]:
    """Put `values` on a device; return old and new by field. Raises Refused, and leaves the device as it was."""
    before = {field: getattr(device, field) for field in CHANGEABLE}
    try:
        for field, value in values.items():
            setattr(device, field, places.find(field, device.fleet, value) if field in places.kinds else value)
        _check_coordinates(device)
        if device.mqtt_id != before["mqtt_id"]:
            mqtt_ids.check(device)
            mqtt_ids.take(device, place)
    except Refused:
        for field, value in before.items():
            setattr(device, field, value)
        raise
    return {
        field: [_text(old), _text(getattr(device, field))]
        for field, old in before.items()
        if old != getattr(device, field)
    }


def _write(devices: Sequence[Device]) -> None:
    if not devices:
        return
    with connection.cursor() as cursor:
        cursor.execute(_UPDATE, [[getattr(device, column) for device in devices] for column in _UPDATED])


# --- Both -----------------------------------------------------------------------------------------------------------


def fleets_named(slugs: Iterable[str], within: FleetIds) -> dict[str, Fleet]:
    """Return the existing fleets among `slugs` and `within`, by slug. At most one query."""
    wanted = set(slugs)
    seen = Fleet.objects.of_fleets(within)
    return {fleet.slug: fleet for fleet in seen.filter(slug__in=wanted)} if wanted else {}


def fleet_of(fleets: Mapping[str, Fleet], slug: str) -> Fleet:
    """Return the fleet. Raises Refused if it does not exist."""
    if slug not in fleets:
        raise Refused("fleet", f"There is no fleet {slug!r}.")
    return fleets[slug]


def _check_coordinates(device: Device) -> None:
    if (device.latitude is None) is not (device.longitude is None):
        raise Refused("longitude" if device.longitude is None else "latitude", "Both coordinates are given, or none.")


class _Places:
    """The sites and batches that rows name, each in its fleet."""

    kinds: Mapping[str, type[Site] | type[Batch]] = {"site": Site, "batch": Batch}

    def __init__(self, fleets: Iterable[Fleet], rows: Sequence[Mapping[str, Any]]) -> None:
        fleets = list(fleets)
        self._found = {
            (field, place.fleet_id, place.name): place
            for field, model in self.kinds.items()
            if (names := {row[field] for row in rows if row.get(field) is not None})
            for place in model._default_manager.filter(fleet__in=fleets, name__in=names)
        }

    def find(self, field: str, fleet: Fleet, name: str | None) -> Site | Batch | None:
        if name is None:
            return None
        if (place := self._found.get((field, fleet.pk, name))) is None:
            raise Refused(field, f"Fleet {fleet.slug} has no {field} {name!r}. Make it first.")
        return place


class _Taken:
    """Values of a column that devices of a fleet have, or rows before this one have taken."""

    def __init__(self, column: str, what: str, fleets: Iterable[Fleet], values: Iterable[str]) -> None:
        self._column = column
        self._what = what
        wanted = set(values) - {""}
        devices = Device.objects.filter(fleet__in=list(fleets), **{f"{column}__in": wanted})
        self._before = set(devices.values_list("fleet_id", column)) if wanted else set()
        self._here: dict[tuple[int, str], int] = {}

    def check(self, device: Device) -> None:
        """Raises Refused if the value is taken, in the inventory or by an earlier row of the request."""
        key = (device.fleet_id, getattr(device, self._column))
        if key in self._before:
            raise Refused(self._column, f"Another device of the fleet has this {self._what}.")
        if key in self._here:
            raise Refused(
                self._column, f"Item {self._here[key]} of this request, counted from 0, has this {self._what}."
            )

    def take(self, device: Device, place: int) -> None:
        value = getattr(device, self._column)
        if value:
            self._here[device.fleet_id, value] = place


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
