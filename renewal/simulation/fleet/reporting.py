"""What the network tells of virtual meters: each wake with a data connection is a sighting, before the campaign too.

Told are the classes of which the ladder has a message that ends before its wait is over: for these the portal tells the
next wake from the last ones. No other message of a campaign depends on when a device was seen.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from inventory.audit.record import SYSTEM
from inventory.models import Connectivity
from inventory.models.presence import MOST_WAKES
from inventory.sightings import MOST_IN_A_BATCH, Sighting, record_sightings
from inventory.sightings.identifiers import DeviceSerial
from renewal.simulation.fleet.firmware import Firmware
from renewal.simulation.fleet.planting import SLUG, serial_of
from renewal.simulation.fleet.world import World

_HOUR = timedelta(hours=1)
# In hours: what is looked for later than a wake by less than that may be the same one, rounded.
_NEXT = 1 / 60
_Wake = tuple[float, int]
"""The hour of a wake, and the meter."""


class Reporting:
    """Wakes that are still to be told, by their hour. `until`: the hour at which the simulation ends."""

    def __init__(self, world: World, firmware: Firmware, start: datetime, devices: int, until: int) -> None:
        self._world = world
        self._firmware = firmware
        self._start = start
        self._until = until
        self._to_tell: defaultdict[int, list[_Wake]] = defaultdict(list)
        for meter in self._told(devices):
            self._await(meter, 0.0)

    def tell_before(self, devices: int) -> None:
        """Tell the wakes before the campaign, as many as the portal keeps."""
        wakes = [(wake, meter) for meter in self._told(devices) for wake in self._wakes_before(meter)]
        by_day: defaultdict[int, list[_Wake]] = defaultdict(list)
        for wake, meter in wakes:
            by_day[math.floor(wake / 24)].append((wake, meter))
        for day in sorted(by_day):
            self._tell(by_day[day], (day + 1) * 24)

    def tell(self, hour: int) -> None:
        """Tell the wakes up to `hour`, each as of its own moment."""
        # A restart may follow a wake in the same step.
        while due := [each for each in self._to_tell if each <= hour]:
            woken = [wake for each in due for wake in self._to_tell.pop(each)]
            # Who has renewed, or was taken away, is asked no more.
            woken = [(wake, meter) for wake, meter in woken if not self._firmware.is_through(meter)]
            self._tell(woken, hour)
            for wake, meter in woken:
                self._await(meter, wake + _NEXT)

    def _told(self, devices: int) -> Iterator[int]:
        scenario, meters = self._world.scenario, self._world.meters
        if scenario.wakes_reported < 1:
            return
        waiting = {
            connectivity
            for connectivity, rungs in scenario.ladder.rungs.items()
            if any(rung.validity < rung.patience for rung in rungs)
        }
        for meter in range(devices):
            deep = meters.sleeps_deep(meter)
            if (Connectivity.INTERMITTENT if deep else Connectivity.DAILY) in waiting:
                yield meter

    def _wakes_before(self, meter: int) -> Iterator[float]:
        wake = self._world.next_contact(meter, -MOST_WAKES * self._world.meters.sleep_hours(meter), 0.0)
        while wake is not None and wake < 0:
            yield wake
            wake = self._world.next_contact(meter, wake + _NEXT, 0.0)

    def _await(self, meter: int, hour: float) -> None:
        wake = self._world.next_contact(meter, hour, self._until)
        if wake is not None:
            self._to_tell[math.ceil(wake)].append((wake, meter))

    def _tell(self, woken: Iterable[_Wake], hour: int) -> None:
        told = [
            Sighting(self._start + wake * _HOUR, DeviceSerial(SLUG, serial_of(meter))) for wake, meter in sorted(woken)
        ]
        for first in range(0, len(told), MOST_IN_A_BATCH):
            record_sightings(told[first : first + MOST_IN_A_BATCH], self._start + hour * _HOUR, SYSTEM)
