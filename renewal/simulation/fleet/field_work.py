"""Visits: people go where the field team's list sends them, and close the orders with what they found."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from inventory.audit.record import Actor
from inventory.models.audit import ActorKind
from renewal.field import closing, healing, opening
from renewal.field.closing import Finding
from renewal.models import Outcome, WorkOrder
from renewal.simulation.fleet.crew import Crew
from renewal.simulation.fleet.faults import Kind
from renewal.simulation.fleet.firmware import Firmware
from renewal.simulation.fleet.planting import number_of
from renewal.simulation.fleet.world import World

_HOUR = timedelta(hours=1)
_AT_ONCE = 20
_PERSON = Actor(ActorKind.SYSTEM, "simulated field team")


class FieldWork:
    def __init__(self, world: World, firmware: Firmware, start: datetime, crew: Crew) -> None:
        self._world = world
        self._crew = crew
        self._firmware = firmware
        self._start = start
        self._lead = timedelta(days=world.scenario.field_lead_days)
        self._span = timedelta(days=world.scenario.visit_span_days)
        self._visits: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        # Why meters were visited: the fault that was found, or none.
        self.found: Counter[str] = Counter()

    @property
    def next_hour(self) -> float:
        """The hour of the next visit."""
        return min(self._visits, default=math.inf)

    def keep_orders(self, hour: int) -> None:
        """Close and open orders as the product's jobs do, and plan a visit for each new one."""
        now = self._start + hour * _HOUR
        closing.close_renewed(now)
        if not opening.without_order(now, self._lead).exists():
            return
        # Of every day; what the others would count nobody reads.
        healing.count_anew(now)
        opening.open_due(now, self._lead, self._span)
        opened = WorkOrder.objects.filter(opened_at=now).order_by("pk")
        for order, serial, go_from in opened.values_list("pk", "device__serial", "go_from"):
            meter = number_of(serial)
            visit = self._world.visit_at(meter, (go_from - self._start) / _HOUR)
            self._visits[math.ceil(visit)].append((order, meter))

    def visit(self, since: int, hour: int) -> None:
        """Make the visits of the hours `since < ... <= hour` that are needed still."""
        due = [each for at in range(since + 1, hour + 1) for each in self._visits.pop(at, ())]
        if not due:
            return
        still_open = set(
            WorkOrder.objects.open().filter(pk__in=[order for order, _meter in due]).values_list("pk", flat=True)
        )
        renewable: dict[int, int] = {}
        closed: list[tuple[int, Finding]] = []
        for order, meter in due:
            if order not in still_open:
                continue
            fault = self._world.found_at_visit(meter, hour)
            self.found[fault.value if fault else "nothing persistent"] += 1
            if fault is Kind.HARDWARE and not self._world.push_helps(meter):
                closed.append((order, Finding(Outcome.REPLACED, replaced_by=f"NEW{meter:08}")))
                self._firmware.take_away(meter)
            elif fault is Kind.NO_COVERAGE:
                closed.append((order, Finding(Outcome.DEAD_ZONE)))
            else:
                self._world.mend(meter, hour)
                renewable[meter] = order
        renewed = self._firmware.renew_on_site(list(renewable), hour)
        closed += [(renewable[meter], Finding(Outcome.RENEWED_ON_SITE)) for meter in sorted(renewed)]
        now = self._start + hour * _HOUR
        self._crew.each(_close, [_Closed(closed[at : at + _AT_ONCE], now) for at in range(0, len(closed), _AT_ONCE)])


@dataclass(frozen=True)
class _Closed:
    orders: Sequence[tuple[int, Finding]]
    now: datetime


def _close(closed: _Closed) -> None:
    for order, finding in closed.orders:
        closing.close(order, finding, now=closed.now, actor=_PERSON)
