"""What a refused request costs: a bounded number of rows, however many come, and none of them uncounted.

A credential is looked at before any brake, so a right one is served whatever strangers did to its device or from behind
the same address. What is braked is the answer to wrong ones, and what they leave: the first of a minute are events of
their own, the rest are counted by network and become one event for each network and window. Guessing gains nothing
from being heard: a secret has 144 random bits.
"""

from datetime import UTC, datetime, timedelta

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
           1, %(now)s::timestamptz, %(now)s::timestamptz
    ON CONFLICT (action, "window", network) DO UPDATE
        SET count = tally.count + 1,
            first_at = least(tally.first_at, excluded.first_at), last_at = greatest(tally.last_at, excluded.last_at)
    RETURNING count"""


def note(
    refusal: Refusal,
    action: AuditAction,
    actor: Actor,
    now: datetime,
    *,
    device: Device | None,
    certificate: Certificate | None = None,
) -> Refusal:
    """Put a refusal into the audit log, by itself or counted, and return the answer: it, or that there were too many.

    Call it in the transaction of the request. Two queries at most beside the event.
    """
    network = network_of(actor.source_address)
    recent = _recent(action, now)
    of_network = [device_id for address, device_id in recent if network_of(address) == network]
    # A device counts together with the network: else whoever knows a serial number could silence its device.
    of_device = of_network.count(device.pk) if device else 0
    too_many = of_device >= MOST_OF_DEVICE or len(of_network) >= MOST_OF_NETWORK
    if not too_many and len(recent) < MOST_EVENTS:
        details = {"reason": refusal.code, **refusal.details}
        name = device.serial if device else actor.name
        told = event(
            action, now=now, actor=actor, object_name=name, device=device, certificate=certificate, details=details
        )
        record([told])
        return refusal
    if _count(action, network, now) > MOST_OF_NETWORK or too_many:
        return _too_many()
    return refusal


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


def _recent(action: AuditAction, now: datetime) -> list[tuple[str | None, int | None]]:
    """Return address and device of the latest refusals that are events of their own. One indexed query."""
    own = AuditEvent.objects.filter(action=action, at__gt=now - SPAN).exclude(actor_kind=ActorKind.SYSTEM)
    return list(own.order_by("-at", "-id").values_list("source_address", "device_id")[:MOST_EVENTS])


def _count(action: AuditAction, network: str, now: datetime) -> int:
    """Count one more refusal and return how many its network has in this window. One statement."""
    began = datetime.fromtimestamp(now.timestamp() // WINDOW.total_seconds() * WINDOW.total_seconds(), UTC)
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD,
            {
                "action": action.value,
                "window": began,
                "network": network,
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
