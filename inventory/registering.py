"""Registering devices and changing what is known of them, a thousand at a time: each row lands whole or says why not.

A fixed number of statements, whatever the number of rows. Serial number and fleet of a device never change: both stand
in its certificates.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext_lazy as _

from inventory.audit.record import Actor, event, record
from inventory.models import AuditAction, AuditEvent, Batch, Device, Fleet, Site

MOST_ROWS = 1000
# Whoever registers at the same time may take what we checked; then we look again.
_TRIES = 3
# Stands for a device that has no id yet.
_NEW = 0
_GROUPS: Mapping[str, type[Site] | type[Batch]] = {"site": Site, "batch": Batch}


class Outcome(models.TextChoices):
    """What became of a row."""

    CREATED = "created", _("registered")
    CHANGED = "changed", _("changed")
    UNCHANGED = "unchanged", _("as it was")
    REFUSED = "refused", _("refused")


@dataclass(frozen=True)
class Result:
    """What became of one row: the device, or by field why it was refused."""

    outcome: Outcome
    device: Device | None = None
    errors: Mapping[str, Sequence[str]] = field(default_factory=dict)


def refused(name: str, text: str) -> Result:
    return Result(Outcome.REFUSED, errors={name: [text]})


def register(rows: Sequence[Mapping[str, Any]], now: datetime, actor: Actor) -> list[Result]:
    """Register devices; return what became of each row, in their order.

    A row names `fleet` (slug) and `serial`, and may hold the other columns of a device, `site` and `batch` by name. Its
    values were checked one by one; here they meet what there is.
    """
    return _against_others(lambda: _register(rows, now, actor))


def change(
    rows: Sequence[tuple[int, Mapping[str, Any]]],
    now: datetime,
    actor: Actor,
    *,
    seen: Mapping[int, str],
    tag: Callable[[Device], str],
) -> list[Result]:
    """Change devices by their ids; return what became of each row, in their order.

    `seen` holds by id the ETag that a device must still have, as `tag` makes it. Sites and batches are named, and must
    be of the device's own fleet; None takes the device out of one.
    """
    return _against_others(lambda: _change(rows, now, actor, seen, tag))


def _against_others(act: Callable[[], list[Result]]) -> list[Result]:
    for _attempt in range(_TRIES - 1):
        with contextlib.suppress(IntegrityError), transaction.atomic():
            return act()
    with transaction.atomic():
        return act()


def _register(rows: Sequence[Mapping[str, Any]], now: datetime, actor: Actor) -> list[Result]:
    fleets = {fleet.slug: fleet for fleet in Fleet.objects.filter(slug__in={row["fleet"] for row in rows})}
    owners = [fleets.get(row["fleet"]) for row in rows]
    groups = {name: _groups(model, name, rows, owners) for name, model in _GROUPS.items()}
    known = _holders("serial", rows, owners)
    mqtt_ids = _holders("mqtt_id", rows, owners)
    results: list[Result] = []
    for row, fleet in zip(rows, owners, strict=True):
        if fleet is None:
            results.append(refused("fleet", f"No fleet is called {row['fleet']!r}."))
        elif (fleet.pk, row["serial"]) in known:
            text = f"Fleet {fleet.slug} has a device {row['serial']}, or an earlier row of this request registers it."
            results.append(refused("serial", text))
        elif problem := _problem(row, fleet.pk, _NEW, groups, mqtt_ids):
            results.append(problem)
        else:
            known[fleet.pk, row["serial"]] = mqtt_ids[fleet.pk, row.get("mqtt_id", "")] = _NEW
            columns = {name: value for name, value in row.items() if name not in _GROUPS and name != "fleet"}
            placed = {name: groups[name].get((fleet.pk, row.get(name))) for name in _GROUPS}
            results.append(Result(Outcome.CREATED, Device(fleet=fleet, registered_at=now, **columns, **placed)))
    made = [result.device for result in results if result.device is not None]
    Device.objects.bulk_create(made)
    record(
        event(AuditAction.DEVICE_REGISTERED, now=now, actor=actor, object_name=device.serial, device=device)
        for device in made
    )
    return results


def _change(
    rows: Sequence[tuple[int, Mapping[str, Any]]],
    now: datetime,
    actor: Actor,
    seen: Mapping[int, str],
    tag: Callable[[Device], str],
) -> list[Result]:
    # In one order, and FOR UPDATE as the counters of a device's places need it.
    locked = Device.objects.filter(pk__in=[pk for pk, _changes in rows]).order_by("pk").select_for_update(of=("self",))
    devices = {device.pk: device for device in locked.select_related("fleet", "site", "batch")}
    changes = [row for _pk, row in rows]
    owners = [devices[pk].fleet if pk in devices else None for pk, _changes in rows]
    groups = {name: _groups(model, name, changes, owners) for name, model in _GROUPS.items()}
    mqtt_ids = _holders("mqtt_id", changes, owners)
    repeated = {pk for pk, count in Counter(pk for pk, _changes in rows).items() if count > 1}
    results: list[Result] = []
    events: list[AuditEvent] = []
    touched: set[str] = set()
    for pk, row in rows:
        device = devices.get(pk)
        if device is None:
            results.append(refused("id", f"No device has the id {pk}."))
            continue
        if pk in repeated:
            results.append(refused("id", f"The device {pk} stands in this request more than once."))
            continue
        if pk in seen and seen[pk] != tag(device):
            results.append(refused("etag", "The device is not what you read any more. Read it again, then decide."))
            continue
        values = {
            name: groups[name].get((device.fleet_id, value)) if name in _GROUPS else value
            for name, value in row.items()
        }
        changed = {name: value for name, value in values.items() if getattr(device, name) != value}
        problem = _problem(row, device.fleet_id, pk, groups, mqtt_ids) or _half_a_place(device, changed)
        if problem:
            results.append(problem)
            continue
        if changed:
            events.append(_changed(device, changed, now, actor))
            touched |= changed.keys()
            for name, value in changed.items():
                setattr(device, name, value)
            mqtt_ids[device.fleet_id, device.mqtt_id] = pk
        results.append(Result(Outcome.CHANGED if changed else Outcome.UNCHANGED, device))
    if touched:
        done = [result.device for result in results if result.outcome == Outcome.CHANGED and result.device]
        Device.objects.bulk_update(done, sorted(touched))
        record(events)
    return results


def _groups(
    model: type[Site] | type[Batch], name: str, rows: Sequence[Mapping[str, Any]], owners: Sequence[Fleet | None]
) -> dict[tuple[int, str | None], Site | Batch | None]:
    """Return the sites or batches that the rows name, by fleet and name. One query."""
    named = {(fleet.pk, row[name]) for row, fleet in zip(rows, owners, strict=True) if fleet and row.get(name)}
    found = model._default_manager.filter(
        fleet_id__in={fleet for fleet, _name in named}, name__in={each for _fleet, each in named}
    )
    return {(group.fleet_id, group.name): group for group in found}


def _holders(
    column: str, rows: Sequence[Mapping[str, Any]], owners: Sequence[Fleet | None]
) -> dict[tuple[int, Hashable], int]:
    """Return which of the values that the rows name a device of their fleets has already, and which. One query."""
    values = {row[column] for row in rows if row.get(column)}
    fleets = {fleet.pk for fleet in owners if fleet}
    found = Device.objects.filter(fleet_id__in=fleets, **{f"{column}__in": values})
    return {(fleet_id, value): pk for fleet_id, value, pk in found.values_list("fleet_id", column, "pk")}


def _problem(
    row: Mapping[str, Any],
    fleet_id: int,
    pk: int,
    groups: Mapping[str, Mapping[tuple[int, str | None], Site | Batch | None]],
    mqtt_ids: Mapping[tuple[int, Hashable], int],
) -> Result | None:
    for name in _GROUPS:
        if row.get(name) and (fleet_id, row[name]) not in groups[name]:
            return refused(name, f"The device's fleet has no {name} {row[name]!r}. Make it first.")
    mqtt_id = row.get("mqtt_id")
    if mqtt_id and (holder := mqtt_ids.get((fleet_id, mqtt_id))) is not None and (holder != pk or pk == _NEW):
        return refused("mqtt_id", f"Another device of the fleet has the MQTT client id {mqtt_id}.")
    return None


def _half_a_place(device: Device, changed: Mapping[str, Any]) -> Result | None:
    place = [changed.get(name, getattr(device, name)) for name in ("latitude", "longitude")]
    if place.count(None) == 1:
        return refused("longitude", "Latitude and longitude are given together, or neither.")
    return None


def _changed(device: Device, changed: Mapping[str, Any], now: datetime, actor: Actor) -> AuditEvent:
    changes = {name: [_told(getattr(device, name)), _told(value)] for name, value in changed.items()}
    return event(
        AuditAction.CONFIGURATION_CHANGED,
        now=now,
        actor=actor,
        object_name=f"device: {device.serial}",
        device=device,
        details={"model": "inventory.device", "id": device.pk, "added": False, "changes": changes},
    )


def _told(value: Any) -> str:
    return "" if value is None else str(value)


def counts(results: Iterable[Result]) -> dict[str, int]:
    counted = Counter(result.outcome for result in results)
    return {outcome.value: counted[outcome] for outcome in Outcome}
