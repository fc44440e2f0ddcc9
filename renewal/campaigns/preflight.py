"""What a person should know of a campaign before it starts: targets in doubt, and the load that it will cause."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import BooleanField, Count, ExpressionWrapper, Q, QuerySet, TextChoices
from django.utils.translation import gettext_lazy as _

from inventory.models import Connectivity
from renewal.campaigns.ladder import Ladder, Send, Situation, next_step, shortest_climb
from renewal.models import Campaign, Channel, Target
from renewal.models.campaign import UNFINISHED_STATES

UNSEEN_SPAN = timedelta(days=90)


class Doubt(TextChoices):
    """Why a target may not come through. One may have several."""

    ENDED = "ended", _("their certificate has ended: they can renew no more by themselves")
    TOO_LATE = "too_late", _("their certificate ends before the ladder is climbed")
    TOO_EARLY = "too_early", _("their renewal window is not open yet: they would be refused")
    NO_CHANNEL = "no_channel", _("no channel of the ladder reaches them")
    NO_PHONE = "no_phone", _("they have no phone number for the SMS of the ladder")
    UNSEEN = "unseen", _("they were not seen for 90 days, or never")


@dataclass(frozen=True)
class Elsewhere:
    """Certificates of the span that another campaign has already."""

    campaign: Campaign
    count: int


@dataclass(frozen=True)
class Load:
    """The messages that leave if nobody answers, by channel, and when the last wait would be over.

    `first_round` is how long the first message to everybody takes at the campaign's pace.
    """

    messages: dict[Channel, int]
    climbed_in: timedelta
    first_round: timedelta


@dataclass(frozen=True)
class Preflight:
    """`shortened_to`: the end that the issuer forces on new certificates, None when it gives full length."""

    doubts: dict[Doubt, int]
    elsewhere: list[Elsewhere]
    load: Load
    shortened_to: datetime | None


def look(campaign: Campaign, now: datetime) -> Preflight:
    """Look at a campaign before it starts. Four queries, whatever the number of targets."""
    ladder = Ladder.from_json(campaign.ladder)
    conditions = _conditions(campaign, ladder, now)
    numbers = campaign.targets.aggregate(
        **{doubt.value: Count("pk", filter=condition) for doubt, condition in conditions.items()}
    )
    return Preflight(
        doubts={doubt: numbers[doubt.value] for doubt in Doubt if numbers[doubt.value]},
        elsewhere=_elsewhere(campaign),
        load=load(_groups(campaign), ladder, campaign.triggers_per_minute),
        shortened_to=_shortened_to(campaign, now),
    )


def in_doubt(campaign: Campaign, doubt: Doubt, now: datetime) -> QuerySet[Target]:
    """Return the targets of `campaign` that a doubt of its preflight counts."""
    return campaign.targets.filter(_conditions(campaign, Ladder.from_json(campaign.ladder), now)[doubt])


def _conditions(campaign: Campaign, ladder: Ladder, now: datetime) -> dict[Doubt, Q]:
    classes = {connectivity: Q(device__connectivity=connectivity) for connectivity in Connectivity}
    nothing = Q(pk__in=[])
    no_phone, no_channel, too_late = nothing, nothing, nothing
    for connectivity, of_class in classes.items():
        rungs = ladder.of(connectivity)
        channels = {rung.channel for rung in rungs}
        too_late |= of_class & Q(ends_at__gt=now, ends_at__lt=now + shortest_climb(rungs))
        if Channel.SMS in channels:
            no_phone |= of_class & Q(device__phone_number="")
        if Channel.WEBHOOK not in channels:
            no_mqtt = Q(device__mqtt_id="") if Channel.MQTT in channels else Q()
            no_sms = Q(device__phone_number="") if Channel.SMS in channels else Q()
            no_channel |= of_class & no_mqtt & no_sms
    return {
        Doubt.ENDED: Q(ends_at__lte=now),
        Doubt.TOO_LATE: too_late,
        Doubt.TOO_EARLY: Q(ends_at__gt=now + campaign.fleet.profile.renewal_window),
        Doubt.NO_CHANNEL: no_channel,
        Doubt.NO_PHONE: no_phone,
        Doubt.UNSEEN: Q(device__presence__last_seen_at__isnull=True)
        | Q(device__presence__last_seen_at__lt=now - UNSEEN_SPAN),
    }


def _elsewhere(campaign: Campaign) -> list[Elsewhere]:
    of_span = Target.objects.filter(
        campaign__fleet=campaign.fleet_id,
        campaign__state__in=UNFINISHED_STATES,
        ends_at__gte=campaign.expires_from,
        ends_at__lt=campaign.expires_before,
    ).exclude(campaign=campaign)
    shared = dict(of_span.order_by().values_list("campaign").annotate(Count("pk")))
    return [Elsewhere(other, shared[other.pk]) for other in Campaign.objects.filter(pk__in=shared).order_by("pk")]


@dataclass(frozen=True)
class Group:
    """Targets alike in what the ladder asks of them."""

    connectivity: Connectivity
    reachable: frozenset[Channel]
    count: int


def _groups(campaign: Campaign) -> list[Group]:
    rows: Any = (
        campaign.targets.order_by()
        .values_list(
            "device__connectivity",
            _given("device__mqtt_id"),
            _given("device__phone_number"),
        )
        .annotate(number=Count("pk"))
    )
    return [
        Group(
            Connectivity(connectivity),
            frozenset({Channel.WEBHOOK} | ({Channel.MQTT} if mqtt else set()) | ({Channel.SMS} if sms else set())),
            number,
        )
        for connectivity, mqtt, sms, number in rows
    ]


def _given(column: str) -> Any:
    return ExpressionWrapper(~Q(**{column: ""}), output_field=BooleanField())


def load(groups: Sequence[Group], ladder: Ladder, a_minute: int) -> Load:
    """Return the load that `groups` cause on `ladder` when nobody answers. Pure."""
    messages: dict[Channel, int] = {}
    longest = timedelta(0)
    asked = 0
    for group in groups:
        situation, waited = Situation(group.connectivity, 0, 0, group.reachable), timedelta(0)
        while isinstance(step := next_step(situation, ladder), Send):
            asked += 0 if waited else group.count
            messages[step.channel] = messages.get(step.channel, 0) + group.count
            waited += step.backed_off
            situation = replace(situation, rung=step.rung, attempts=step.attempts)
        longest = max(longest, waited)
    return Load(messages, longest, timedelta(minutes=asked / a_minute))


def _shortened_to(campaign: Campaign, now: datetime) -> datetime | None:
    fleet = campaign.fleet
    end = fleet.authority.x509.not_valid_after_utc
    return end if end < now + fleet.profile.validity else None
