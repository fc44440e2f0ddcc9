"""Work orders for tests, opened as the periodic job opens them."""

from collections.abc import Sequence
from datetime import timedelta

from inventory.models import Certificate, Fleet
from inventory.sightings import record_sighting
from inventory.x509.csr import parse
from renewal import enrolling
from renewal.campaigns.observing import observe
from renewal.field import opening
from renewal.models import Campaign, Target, TargetState, Team, WorkOrder
from tests import factories
from tests.factories import DAY, NOW, Enrolled
from tests.renewal.rows import running_campaign

LEAD = timedelta(days=60)
SPAN = timedelta(days=30)


def meters(number: int, *, expires_in: timedelta = 30 * DAY, **values: object) -> list[Enrolled]:
    return [factories.enrolled(factories.device(**values), expires_in=expires_in) for _ in range(number)]


def silent_campaign(fleet: Fleet | None = None) -> Campaign:
    """Return a running campaign whose devices were asked over every channel, and answered over none."""
    campaign = running_campaign(fleet)
    campaign.targets.update(state=TargetState.TRIGGERED, triggered_at=NOW, attempts_made=2, unanswered=True)
    return campaign


def opened(number: int = 1, **values: object) -> tuple[list[Enrolled], list[WorkOrder]]:
    """Return meters that nothing was heard of, and their orders, both in the order of their making."""
    made = meters(number, **values)
    silent_campaign()
    opening.open_due(NOW, LEAD, SPAN)
    return made, list(WorkOrder.objects.order_by("device"))


def renew(meter: Enrolled, *, now=NOW, used: bool = True) -> Certificate:
    """Let a meter fetch its next certificate, and use it."""
    issued = enrolling.renew(meter.der, parse(meter.renewal_request()), label=None, now=now, source_address=None)
    assert isinstance(issued, Certificate), issued
    if used:
        record_sighting(issued, meter.device, now=now, actor=factories.SYSTEM)
    return issued


def look() -> None:
    """Let campaigns look at what their devices did."""
    for campaign in {target.campaign for target in Target.objects.select_related("campaign")}:
        observe(campaign, NOW)


def team(*names: str, fleet: Fleet | None = None, name: str = "North") -> Team:
    """Return a team of people who have accounts; those that are missing get one."""
    from certportal.models import User

    made, _new = Team.objects.get_or_create(fleet=fleet or factories.fleet(), name=name)
    for each in names:
        made.members.add(User.objects.filter(username=each).first() or User.objects.create_user(each, is_staff=True))
    return made


def pks(orders: Sequence[WorkOrder]) -> list[int]:
    return [order.pk for order in orders]
