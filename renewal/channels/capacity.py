"""Daily caps of gateways: room is taken before messages are sent, so that campaigns at once do not exceed them."""

from datetime import UTC, date, datetime, time, timedelta

from django.db import transaction
from django.db.models import F

from renewal.models import Gateway, GatewayDay


def left(gateway: Gateway, now: datetime) -> int | None:
    """Return how many messages the cap of this day (UTC) leaves; None: there is no cap. At most one query."""
    if gateway.daily_cap is None:
        return None
    return max(gateway.daily_cap - sent_today(gateway, now), 0)


def sent_today(gateway: Gateway, now: datetime) -> int:
    """Return how many messages the gateway was given on this day of UTC. One query."""
    sent = GatewayDay.objects.filter(gateway=gateway, day=_day(now)).values_list("sent", flat=True).first()
    return sent or 0


def take(gateway: Gateway, wanted: int, now: datetime) -> int:
    """Take room for up to `wanted` messages, and return for how many there was some. Three queries.

    Room that is not used is given back. A crash in between costs the day that room; a cap is never exceeded.
    """
    with transaction.atomic():
        GatewayDay.objects.bulk_create([GatewayDay(gateway=gateway, day=_day(now), sent=0)], ignore_conflicts=True)
        row = GatewayDay.objects.select_for_update().get(gateway=gateway, day=_day(now))
        granted = wanted if gateway.daily_cap is None else max(min(wanted, gateway.daily_cap - row.sent), 0)
        GatewayDay.objects.filter(pk=row.pk).update(sent=F("sent") + granted)
    return granted


def give_back(gateway: Gateway, number: int, now: datetime) -> None:
    """Give back the room of messages that never left; `now` is when it was taken."""
    if number:
        GatewayDay.objects.filter(gateway=gateway, day=_day(now)).update(sent=F("sent") - number)


def next_day(now: datetime) -> datetime:
    """Return when the next day begins."""
    return datetime.combine(_day(now) + timedelta(days=1), time(), UTC)


def _day(now: datetime) -> date:
    return now.astimezone(UTC).date()
