"""Bulk creation of sites and batches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from inventory.audit.changes import changed
from inventory.audit.record import Actor, record
from inventory.devices.bulk_results import Refused, Result, RowOutcome, in_one_transaction
from inventory.devices.registration import fleet_of, fleets_named
from inventory.models import Batch, FleetIds, Site

G = TypeVar("G", Site, Batch)


@dataclass(frozen=True)
class Group:
    """A site or batch to create. `values`: its other fields, validated."""

    fleet: str
    name: str
    values: Mapping[str, Any] = field(default_factory=dict)


def make(
    model: type[G], groups: Mapping[int, Group], now: datetime, actor: Actor, within: FleetIds = None
) -> dict[int, Result[G]]:
    """Make groups in the fleets `within`, given by their places in a request; return what became of each.

    At most six statements, whatever the number.
    """
    return in_one_transaction(lambda: _make(model, groups, now, actor, within))


def _make(
    model: type[G], groups: Mapping[int, Group], now: datetime, actor: Actor, within: FleetIds
) -> dict[int, Result[G]]:
    fleets = fleets_named((each.fleet for each in groups.values()), within)
    same = model._default_manager.filter(fleet__in=fleets.values(), name__in={each.name for each in groups.values()})
    before = set(same.values_list("fleet_id", "name"))
    here: dict[tuple[int, str], int] = {}
    results: dict[int, Result[G]] = {}
    for place, each in groups.items():
        try:
            fleet = fleet_of(fleets, each.fleet)
            key = (fleet.pk, each.name)
            if key in before:
                raise Refused("name", f"Fleet {fleet.slug} has {each.name!r} already.")
            if key in here:
                raise Refused("name", f"Item {here[key]} of this request, counted from 0, has this name.")
        except Refused as refusal:
            results[place] = refusal.result()
            continue
        here[key] = place
        results[place] = Result(RowOutcome.REGISTERED, model(fleet=fleet, name=each.name, **each.values))
    made = [result.object for result in results.values() if result.object is not None]
    model._default_manager.bulk_create(made)
    record(changed(group, _said(group), actor=actor, now=now, added=True) for group in made)
    return results


def _said(group: Site | Batch) -> dict[str, Any]:
    said = {"fleet": group.fleet.slug, "name": group.name}
    if isinstance(group, Batch) and group.manufactured_on:
        said["manufactured_on"] = group.manufactured_on.isoformat()
    return {name: [None, value] for name, value in said.items()}
