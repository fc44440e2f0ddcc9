"""What of a campaign may change while it runs: its pace, hours, budget, and the failures that it takes."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from inventory.audit.changes import changed
from inventory.audit.record import Actor, record
from renewal.campaigns.windows import Window
from renewal.models import Campaign
from renewal.models.campaign import UNFINISHED_STATES


@dataclass(frozen=True)
class Pace:
    """How many messages of a campaign leave in a minute; `and_site`: to the devices of one site."""

    a_minute: int = 5000
    a_minute_and_site: int | None = None


@dataclass(frozen=True)
class Limits:
    """Shares of failures among those that answered (0 < share < 1): the next wave opens below, it pauses above."""

    to_open: float = 0.02
    to_pause: float = 0.1


@dataclass(frozen=True)
class Settings:
    """`window`: None for any hour. `sms_budget`: of the whole campaign, None for any number."""

    pace: Pace = field(default_factory=Pace)
    limits: Limits = field(default_factory=Limits)
    window: Window | None = None
    sms_budget: int | None = None

    def columns(self) -> dict[str, Any]:
        """Return the values of the fields of a campaign."""
        begins, ends = self.window or (None, None)
        return {
            "triggers_per_minute": self.pace.a_minute,
            "triggers_per_minute_and_site": self.pace.a_minute_and_site,
            "window_from": begins,
            "window_to": ends,
            "sms_budget": self.sms_budget,
            "failures_to_open": self.limits.to_open,
            "failures_to_pause": self.limits.to_pause,
        }


class NotAdjusted(ValueError):
    """The settings of a campaign that has ended stay as they are; the text says so."""


def of(campaign: Campaign) -> Settings:
    return Settings(
        Pace(campaign.triggers_per_minute, campaign.triggers_per_minute_and_site),
        Limits(campaign.failures_to_open, campaign.failures_to_pause),
        campaign.window,
        campaign.sms_budget,
    )


def adjust(campaign: Campaign, settings: Settings, *, now: datetime, actor: Actor) -> bool:
    """Give a campaign other settings, from its next tick on; return whether anything changed. Raises NotAdjusted."""
    with transaction.atomic():
        current = Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
        if current.state not in UNFINISHED_STATES:
            raise NotAdjusted(f"The campaign is {current.state}: its settings stay as they were.")
        wanted, had = settings.columns(), of(current).columns()
        changes = {name: [_plain(had[name]), _plain(value)] for name, value in wanted.items() if had[name] != value}
        if changes:
            Campaign.objects.filter(pk=campaign.pk).update(**{name: wanted[name] for name in changes})
            record([changed(current, changes, actor=actor, now=now)])
    return bool(changes)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    return value if value is None or isinstance(value, int | float) else f"{value:%H:%M}"
