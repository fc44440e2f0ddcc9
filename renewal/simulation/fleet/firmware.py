"""What meters do once a message has arrived: ask for a certificate and use it, through gate, door and sightings.

A meter keeps its trigger until it has renewed. A wake may end too soon; then it goes on at the next.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from inventory.audit.record import SYSTEM
from inventory.models import Certificate
from inventory.sightings import Sighting, record_sightings
from inventory.sightings.identifiers import Fingerprint
from inventory.x509.csr import parse
from renewal.enrolling import admit_many
from renewal.models import Channel
from renewal.refusals import Refusal
from renewal.requests import Renewal
from renewal.simulation.fleet.air import Arrival
from renewal.simulation.fleet.planting import new_request, number_of, serial_of
from renewal.simulation.fleet.world import World

_AT_ONCE = 1000
_HOUR = timedelta(hours=1)


class Firmware:
    """The meters that are at work, by the hour of their next wake. `until`: the hour at which the simulation ends."""

    def __init__(self, world: World, start: datetime, until: int) -> None:
        self._world = world
        self._start = start
        self._until = until
        self._to_ask: defaultdict[int, list[int]] = defaultdict(list)
        self._to_use: defaultdict[int, list[int]] = defaultdict(list)
        # Meters that try to renew, and how often they have; the fingerprints of what was not used yet.
        self._trying: Counter[int] = Counter()
        self._unused: dict[int, bytes] = {}
        self._done: set[int] = set()
        self.refusals: Counter[str] = Counter()

    @property
    def next_hour(self) -> float:
        """The first hour at which a meter has something to do."""
        return min(min(self._to_ask, default=math.inf), min(self._to_use, default=math.inf))

    def hear(self, arrivals: Iterable[Arrival], hour: int) -> None:
        """Let meters act on the messages that arrived in the hour before `hour`."""
        for arrival in arrivals:
            meter = arrival.meter
            if meter in self._done or (arrival.channel is Channel.SMS and not self._world.hears_sms(meter, hour)):
                continue
            if meter in self._unused:
                self._to_use[hour].append(meter)
            elif meter not in self._trying:
                self._trying[meter] = 0
                self._to_ask[hour].append(meter)

    def work(self, since: int, hour: int) -> None:
        """Let meters do what they do in the hours `since < ... <= hour`; all of it counts as of `hour`."""
        asking: list[int] = []
        using: list[int] = []
        for each in range(since + 1, hour + 1):
            asking += self._to_ask.pop(each, ())
            using += self._to_use.pop(each, ())
        # Somebody may have renewed a meter on site meanwhile.
        asking = [meter for meter in asking if meter not in self._done and meter not in self._unused]
        using += self._ask([meter for meter in asking if self._connects(meter, hour)], hour)
        self._use(using, hour)

    def renew_on_site(self, meters: Sequence[int], hour: int) -> set[int]:
        """Let somebody on the spot renew meters, by a connection that he or she brings. Return those that have."""
        waiting = [meter for meter in meters if meter in self._unused]
        self._ask([meter for meter in meters if meter not in self._unused and meter not in self._done], hour)
        fetched = [meter for meter in meters if meter in self._unused and meter not in waiting]
        self._use([*waiting, *fetched], hour)
        return {meter for meter in meters if meter in self._done}

    def _connects(self, meter: int, hour: int) -> bool:
        """Return whether this wake is long enough; if not, let the meter try at its next."""
        tries = self._trying[meter]
        self._trying[meter] += 1
        if self._world.wake_is_long_enough(meter, tries):
            return True
        self._at_next_wake(self._to_ask, meter, hour)
        return False

    def _at_next_wake(self, what: defaultdict[int, list[int]], meter: int, hour: int) -> None:
        # A wake within this hour is the one that is on.
        wake = self._world.next_contact(meter, hour + 1, self._until)
        if wake is not None:
            what[math.ceil(wake)].append(meter)

    def _ask(self, meters: Sequence[int], hour: int) -> list[int]:
        """Have meters ask for certificates; return those that got one and use it at once."""
        now = self._start + hour * _HOUR
        at_once: list[int] = []
        for first in range(0, len(meters), _AT_ONCE):
            block = meters[first : first + _AT_ONCE]
            current = _current(block)
            asking = [meter for meter in block if meter in current]
            requests = [_renewal(current[meter]) for meter in asking]
            for meter, outcome in zip(asking, admit_many(requests, now), strict=True):
                if isinstance(outcome, Refusal):
                    self.refusals[outcome.code.value] += 1
                    # A later message may find it in another state.
                    del self._trying[meter]
                    continue
                self._unused[meter] = bytes(outcome.sha256)
                if self._world.uses_at_once(meter):
                    at_once.append(meter)
                else:
                    self._at_next_wake(self._to_use, meter, hour)
        return at_once

    def _use(self, meters: Sequence[int], hour: int) -> None:
        """Have meters authenticate with what they fetched."""
        now = self._start + hour * _HOUR
        using = [meter for meter in dict.fromkeys(meters) if meter in self._unused]
        for first in range(0, len(using), _AT_ONCE):
            block = using[first : first + _AT_ONCE]
            record_sightings([Sighting(now, Fingerprint(self._unused[meter])) for meter in block], now, SYSTEM)
            for meter in block:
                del self._unused[meter]
                self._trying.pop(meter, None)
                self._done.add(meter)


def _current(meters: Sequence[int]) -> Mapping[int, Certificate]:
    """Return the certificate that each meter uses. Of those with none that can be used there is none."""
    in_use = Certificate.objects.of_devices().filter(
        device__serial__in=[serial_of(meter) for meter in meters], state="confirmed"
    )
    return {number_of(each.device.serial): each for each in in_use.select_related("device") if each.device}


def _renewal(current: Certificate) -> Renewal:
    # RFC 7030 4.2.2: the names stay as they are.
    return Renewal(bytes(current.der), parse(new_request(current.x509.subject)))
