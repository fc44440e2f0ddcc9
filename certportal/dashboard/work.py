"""The page "Work": every queue that somebody goes through, with how many wait in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from certportal.models import User
from inventory.admin import cells, links
from inventory.devices.locked_out import READINGS, count_up_to
from inventory.devices.locked_out import Queue as LockedOut
from inventory.lists.row_counts import Count
from inventory.models import (
    Alert,
    Case,
    ImportRun,
    ImportState,
    Proposal,
    ProposalState,
    UnexpectedSighting,
    fleets_of,
)
from renewal.models import Campaign, CampaignState, WorkOrder

# Beyond so many a queue is a problem of its own, and is no longer counted.
_COUNTED = 1000


@dataclass(frozen=True)
class Queue:
    """One line: its name, how many wait ("at least 1,000" when there are more), the list of exactly these, and why."""

    name: str
    count: str
    waits: bool
    url: str
    says: str | Promise


@dataclass(frozen=True)
class Section:
    name: str | Promise
    queues: list[Queue]


def read(user: User, now: datetime) -> list[Section]:
    """Return the queues that the person may see, in sections. At most thirteen queries, each bounded."""
    parts = (
        (gettext_lazy("To decide"), _to_decide),
        (gettext_lazy("Devices cut off"), _cut_off),
        (gettext_lazy("Renewal"), _renewal),
        (gettext_lazy("What comes in"), _what_comes_in),
    )
    read_parts = ((name, list(queues(user, now))) for name, queues in parts)
    return [Section(name, queues) for name, queues in read_parts if queues]


def _to_decide(user: User, _now: datetime) -> Iterator[Queue]:
    if user.has_perm("inventory.view_alert"):
        yield _queue(
            _("Alerts"), Alert.objects.visible_to(user).waiting(), "inventory_alert", {"state": "waiting"},
            gettext_lazy("Nobody has acknowledged them, and what they warn of has not ended."),
        )  # fmt: skip
    if user.has_perm("inventory.view_case"):
        yield _queue(
            _("Cases"), Case.objects.visible_to(user).waiting(), "inventory_case", {"state": "waiting"},
            gettext_lazy("Revoked devices that somebody looked into; a second person agrees or dismisses."),
        )  # fmt: skip
    if user.has_perm("inventory.view_proposal"):
        yield _queue(
            _("Proposals"), Proposal.objects.visible_to(user).waiting(), "inventory_proposal",
            {"state__exact": ProposalState.WAITING.value},
            gettext_lazy("Acts that take two people, and wait for the second."),
        )  # fmt: skip


def _cut_off(user: User, now: datetime) -> Iterator[Queue]:
    if not user.has_perm("inventory.view_device"):
        return
    for queue, name, model in (
        (LockedOut.EXPIRED, _("Expired devices"), "inventory_expireddevice"),
        (LockedOut.REVOKED, _("Revoked devices"), "inventory_revokeddevice"),
    ):
        yield _line(name, count_up_to(_COUNTED, queue, now, fleets_of(user)), model, {}, READINGS[queue].forbidden)


def _renewal(user: User, _now: datetime) -> Iterator[Queue]:
    if user.has_perm("renewal.view_campaign"):
        campaigns = Campaign.objects.visible_to(user)
        for state, name, says in (
            (CampaignState.PLANNED, _("Planned campaigns"), gettext_lazy("They wait for somebody to start them.")),
            (CampaignState.PAUSED, _("Paused campaigns"), gettext_lazy("Nothing is sent until they are resumed.")),
            (CampaignState.RUNNING, _("Running campaigns"), gettext_lazy("They go on by themselves.")),
        ):
            waiting, question = campaigns.filter(state=state), {"state__exact": state.value}
            yield _queue(name, waiting, "renewal_campaign", question, says, waits=state != CampaignState.RUNNING)
    if user.has_perm("renewal.view_workorder"):
        yield _queue(
            _("Work orders"), WorkOrder.objects.visible_to(user).open(), "renewal_workorder", {},
            gettext_lazy("Devices that answered on no channel: somebody goes there, or they come back by themselves."),
        )  # fmt: skip


def _what_comes_in(user: User, _now: datetime) -> Iterator[Queue]:
    if user.has_perm("inventory.view_importrun"):
        imports = ImportRun.objects.visible_to(user)
        stopped = {"state__exact": ImportState.STOPPED.value}
        yield _queue(
            _("Stopped imports"), imports.filter(state=ImportState.STOPPED), "inventory_importrun", stopped,
            gettext_lazy("They could not go on; each says why. All imports are in the same list."),
        )  # fmt: skip
    if user.has_perm("inventory.view_unexpectedsighting"):
        yield _queue(
            _("Unexpected sightings"), UnexpectedSighting.objects.visible_to(user), "inventory_unexpectedsighting", {},
            gettext_lazy("Verifiers saw certificates or devices that should not be where they were."),
        )  # fmt: skip


def _queue(
    name: str, rows: QuerySet[Any], model: str, question: dict[str, str], says: Any, *, waits: bool = True
) -> Queue:
    number = rows.order_by()[:_COUNTED].count()
    return _line(name, Count(number, exact=number < _COUNTED), model, question, says, waits=waits)


def _line(name: str, count: Count, model: str, question: dict[str, str], says: Any, *, waits: bool = True) -> Queue:
    number = cells.count(count.number)
    said = number if count.exact else _("at least %(count)s") % {"count": number}
    return Queue(name, said, waits and count.number > 0, links.changelist(model, **question), says)
