"""What a refused request costs: a bounded number of rows, however many come, and none of them uncounted.

A credential is looked at before any brake, so a right one is served whatever strangers did to its device or from behind
the same address. What is braked is the answer to wrong ones, and what they leave: the first of a minute are events of
their own, the rest are counted by network and become one event for each network and window. Guessing gains nothing
from being heard: a secret has 144 random bits.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction

from inventory.audit.networks import network_of
from inventory.audit.record import Actor, event, record
from inventory.models import AuditAction, AuditEvent, Certificate, Device
from inventory.models.audit import ActorKind
from renewal.models import RefusalTally
from renewal.refusals import Refusal, RefusalCode

SPAN = timedelta(minutes=1)
MOST_OF_DEVICE = 10
"""Refusals in SPAN of one device from one network that are answered with their reason."""
MOST_OF_NETWORK = 60
"""The same of one network, whatever it asked for."""
MOST_EVENTS = 120
"""Refusals in SPAN, of all networks, that are events of their own."""
WINDOW = timedelta(minutes=10)
MOST_NETWORKS = 200
"""Networks that are counted apart in one window; the others are counted together."""
THE_OTHERS = "*"

_ADD = """
    INSERT INTO renewal_refusaltally AS tally (action, "window", network, count, first_at, last_at)
    SELECT %(action)s::varchar, %(window)s::timestamptz,
           CASE WHEN EXISTS (SELECT FROM renewal_refusaltally
                             WHERE action = %(action)s::varchar AND "window" = %(window)s::timestamptz
                               AND network = %(network)s::varchar)
                  OR (SELECT count(*) FROM renewal_refusaltally
                      WHERE action = %(action)s::varchar AND "window" = %(window)s::timestamptz) < %(most)s::bigint
                THEN %(network)s::varchar ELSE %(others)s::varchar END,
           %(number)s::bigint, %(now)s::timestamptz, %(now)s::timestamptz
    ON CONFLICT (action, "window", network) DO UPDATE
        SET count = tally.count + excluded.count,
            first_at = least(tally.first_at, excluded.first_at), last_at = greatest(tally.last_at, excluded.last_at)
    RETURNING count"""


@dataclass(frozen=True, slots=True)
class Refused:
    """A refused request: whose it was, as far as anybody knows, and by which certificate it came.

    `actor` is who asked, from where; `action` is what the audit log calls it.
    """

    refusal: Refusal
    action: AuditAction
    actor: Actor
    device: Device | None
    certificate: Certificate | None = None


def note(refused: Sequence[Refused], now: datetime) -> list[Refusal]:
    """Put refusals into the audit log, by themselves or counted, in the order in which they came.

    Return the answer to each: its refusal, or that there were too many. Call it in the transaction of the requests.
    Two queries at most beside the events: one for each action, and one for each network that has too many.
    """
    recent = {action: _recent(action, now) for action in {each.action for each in refused}}
    braked, told = [_brake(each, recent[each.action]) for each in refused], []
    counted: Counter[tuple[AuditAction, str]] = Counter()
    for each, brake in zip(refused, braked, strict=True):
        if brake is None:
            told.append(_event(each, now))
        else:
            counted[each.action, brake.network] += 1
    record(told)
    # How many of each network there had been before.
    counts = {
        (action, network): _count(action, network, number, now) - number
        for (action, network), number in counted.items()
    }
    return [_answer(each, brake, counts) for each, brake in zip(refused, braked, strict=True)]


class _Brake(NamedTuple):
    """A refusal that is counted: for which network, and whether its sender is told so."""

    network: str
    too_many: bool


def _brake(refused: Refused, recent: list[tuple[str, int | None]]) -> _Brake | None:
    """Return None for what becomes an event of its own, which joins `recent`: networks and devices of such events."""
    device, network = refused.device, network_of(refused.actor.source_address)
    of_network = [device_id for known, device_id in recent if known == network]
    # A device counts together with the network: else whoever knows a serial number could silence its device.
    of_device = of_network.count(device.pk) if device else 0
    too_many = of_device >= MOST_OF_DEVICE or len(of_network) >= MOST_OF_NETWORK
    if too_many or len(recent) >= MOST_EVENTS:
        return _Brake(network, too_many)
    recent.append((network, device.pk if device else None))
    return None


def _event(refused: Refused, now: datetime) -> AuditEvent:
    return event(
        refused.action,
        now=now,
        actor=refused.actor,
        object_name=refused.device.serial if refused.device else refused.actor.name,
        device=refused.device,
        certificate=refused.certificate,
        details={"reason": refused.refusal.code, **refused.refusal.details},
    )


def _answer(refused: Refused, brake: _Brake | None, counts: dict[tuple[AuditAction, str], int]) -> Refusal:
    """Return the answer to a refusal, which is one more of its network when it was counted.

    A service account guesses nothing: it hears the reason of each, however many rows of a factory line are wrong.
    """
    if brake is None or refused.actor.kind == ActorKind.USER:
        return refused.refusal
    counts[refused.action, brake.network] += 1
    return _too_many() if brake.too_many or counts[refused.action, brake.network] > MOST_OF_NETWORK else refused.refusal


def tell(now: datetime) -> int:
    """Write an event for each network of each window that is over, and forget their tallies. Return how many."""
    with transaction.atomic():
        over = RefusalTally.objects.filter(window__lte=now - WINDOW).select_for_update(skip_locked=True)
        tallies = list(over.order_by("pk"))
        record(_told(tally) for tally in tallies)
        RefusalTally.objects.filter(pk__in=[tally.pk for tally in tallies]).delete()
    return len(tallies)


def _told(tally: RefusalTally) -> AuditEvent:
    address = tally.network.partition("/")[0] if tally.network != THE_OTHERS else None
    details = {
        "count": tally.count,
        "network": tally.network,
        "first": tally.first_at.isoformat(),
        "last": tally.last_at.isoformat(),
    }
    actor = Actor(ActorKind.SYSTEM, "certportal", address or None)
    name = f"{tally.count} more from {tally.network or 'no address'}"
    return event(AuditAction(tally.action), now=tally.last_at, actor=actor, object_name=name, details=details)


def _recent(action: AuditAction, now: datetime) -> list[tuple[str, int | None]]:
    """Return network and device of the latest refusals that are events of their own. One indexed query."""
    own = AuditEvent.objects.filter(action=action, at__gt=now - SPAN).exclude(actor_kind=ActorKind.SYSTEM)
    latest = own.order_by("-at", "-id").values_list("source_address", "device_id")[:MOST_EVENTS]
    return [(network_of(address), device_id) for address, device_id in latest]


def _count(action: AuditAction, network: str, number: int, now: datetime) -> int:
    """Count `number` more refusals and return how many its network has in this window. One statement."""
    began = datetime.fromtimestamp(now.timestamp() // WINDOW.total_seconds() * WINDOW.total_seconds(), UTC)
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD,
            {
                "action": action.value,
                "window": began,
                "network": network,
                "number": number,
                "now": now,
                "most": MOST_NETWORKS,
                "others": THE_OTHERS,
            },
        )
        [count] = cursor.fetchone()
    return int(count)


def _too_many() -> Refusal:
    wait = int(SPAN.total_seconds())
    return Refusal(
        RefusalCode.TOO_MANY_REFUSALS, f"Too many refused requests; try again in {wait} s.", retry_after=wait
    )
