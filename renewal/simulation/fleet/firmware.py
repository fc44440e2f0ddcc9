"""What meters do once a message has arrived: ask for a certificate and use it, through gate, door and sightings.

A meter keeps its trigger until it has renewed. A wake may end too soon; then it goes on at the next.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from inventory.audit.record import SYSTEM
from inventory.models import Certificate
from inventory.sightings import Sighting, record_sightings
from inventory.sightings.identifiers import Fingerprint
from inventory.x509.csr import parse
from renewal.enrolling import admit_many
from renewal.models import Channel
from renewal.refusals import Refusal, RefusalCode
from renewal.requests import Renewal
from renewal.simulation.fleet.air import Arrival
from renewal.simulation.fleet.crew import Crew
from renewal.simulation.fleet.planting import new_request, number_of, serial_of
from renewal.simulation.fleet.world import World

_AT_ONCE = 1000
_WORTH_A_PROCESS = 100
_HOUR = timedelta(hours=1)


class Firmware:
    """The meters that are at work, by the hour of their next wake. `until`: the hour at which the simulation ends."""

    def __init__(self, world: World, start: datetime, until: int, crew: Crew) -> None:
        self._world = world
        self._crew = crew
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

    def is_through(self, meter: int) -> bool:
        """Return whether a meter has renewed and uses its new certificate, or is there no more."""
        return meter in self._done

    def take_away(self, meter: int) -> None:
        """Let a meter that somebody replaced do nothing any more."""
        self._done.add(meter)
        self._unused.pop(meter, None)
        self._trying.pop(meter, None)

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
        for answers in self._crew.each(_ask_for, [_Asking(block, now) for block in self._blocks(meters)]):
            for meter, answer in answers:
                if isinstance(answer, RefusalCode):
                    self.refusals[answer.value] += 1
                    # A later message may find it in another state.
                    del self._trying[meter]
                    continue
                self._unused[meter] = answer
                if self._world.uses_at_once(meter):
                    at_once.append(meter)
                else:
                    self._at_next_wake(self._to_use, meter, hour)
        return at_once

    def _use(self, meters: Sequence[int], hour: int) -> None:
        """Have meters authenticate with what they fetched."""
        now = self._start + hour * _HOUR
        using = [meter for meter in dict.fromkeys(meters) if meter in self._unused]
        blocks = [_Using([self._unused[meter] for meter in block], now) for block in self._blocks(using)]
        self._crew.each(_use_each, blocks)
        for meter in using:
            del self._unused[meter]
            self._trying.pop(meter, None)
            self._done.add(meter)

    def _blocks(self, meters: Sequence[int]) -> list[Sequence[int]]:
        """Return parts of `meters` for the crew: as many as it has people, or of so many meters as go at once."""
        size = min(max(-(-len(meters) // self._crew.size), _WORTH_A_PROCESS), _AT_ONCE)
        return [meters[first : first + size] for first in range(0, len(meters), size)]


@dataclass(frozen=True)
class _Asking:
    meters: Sequence[int]
    now: datetime


@dataclass(frozen=True)
class _Using:
    fingerprints: Sequence[bytes]
    now: datetime


def _ask_for(asking: _Asking) -> list[tuple[int, bytes | RefusalCode]]:
    """Let meters ask for certificates; return the fingerprint of what each got, or why it got none."""
    current = _current(asking.meters)
    meters = [meter for meter in asking.meters if meter in current]
    outcomes = admit_many([_renewal(current[meter]) for meter in meters], asking.now)
    return [
        (meter, outcome.code if isinstance(outcome, Refusal) else bytes(outcome.sha256))
        for meter, outcome in zip(meters, outcomes, strict=True)
    ]


def _use_each(using: _Using) -> None:
    sightings = [Sighting(using.now, Fingerprint(fingerprint)) for fingerprint in using.fingerprints]
    record_sightings(sightings, using.now, SYSTEM)


def _current(meters: Sequence[int]) -> Mapping[int, bytes]:
    """Return the certificate (DER) that each meter uses. Of those with none that can be used there is none."""
    in_use = Certificate.objects.of_devices().filter(
        device__serial__in=[serial_of(meter) for meter in meters], state="confirmed"
    )
    return {number_of(serial): bytes(der) for serial, der in in_use.values_list("device__serial", "der")}


def _renewal(current: bytes) -> Renewal:
    # RFC 7030 4.2.2: the names stay as they are.
    return Renewal(current, parse(new_request(x509.load_der_x509_certificate(current).subject)))
