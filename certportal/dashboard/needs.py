"""What a person must decide, worst first, each with its one next step."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.db.models import Count, Max
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from certportal.dashboard.scope import Scope
from inventory.admin import attention, cells, links
from inventory.admin.attention import Need
from inventory.counters.totals import Standings, standings
from inventory.expiry.cliffs import Cliff
from inventory.models import AuditAction, AuditEvent, CliffNotice
from renewal import coverage_counts
from renewal.admin.waves import breaches, stuck_wave
from renewal.coverage import Coverage
from renewal.models import Campaign, CampaignState, Target, TargetState
from renewal.models.campaign import GIVEN_UP_STATES, UNFINISHED_STATES
from revocation.freshness import Freshness

# A cliff is no decision any more when this share of it is renewed or in a campaign.
_CLIFF_HANDLED = 0.95
_MOST_CLIFFS = 5
# A cliff that did not grow for so long is made; it will need a campaign, but nothing now.
_GROWING_SPAN = timedelta(days=14)
# What ends later than this cannot be renewed yet: its window is closed.
_CAMPAIGN_REACH = timedelta(days=365)
_GUESSES = 10
_GUESSING_SPAN = timedelta(hours=1)
_TICK_SILENCE = timedelta(minutes=15)
# Worst first.
_TONES = ("late", "stopped", "attention")


def read(
    scope: Scope, now: datetime, cliffs: list[Cliff], crls: list[Freshness], counted: Standings | None = None
) -> list[Need]:
    """Return the needs that the person may see. A constant number of queries, one less when `counted` is given."""
    found = attention.needs(
        now,
        scope.fleets,
        chosen=scope.fleet_id,
        of_portal=scope.of_portal,
        may=scope.may,
        person=scope.person,
    )
    if scope.may("revocation.view_crl"):
        found += _late_crls(crls, now)
    if scope.may("inventory.view_certificate"):
        found += _expired(scope, counted or standings(now, fleets=scope.fleets))
        found += [*_cliffs(scope, cliffs, now), *_growing(scope, cliffs, now)]
    if scope.may("inventory.view_auditevent") and scope.of_portal:
        found += _guessing(now)
    if scope.may("renewal.view_campaign"):
        found += _campaigns(scope, now)
    return sorted(found, key=lambda need: _TONES.index(need.tone))


def _late_crls(crls: Iterable[Freshness], now: datetime) -> Iterable[Need]:
    """Name each authority whose CRLs verifiers refuse, or soon will, by its worst."""
    late: dict[int, list[Freshness]] = {}
    for crl in crls:
        if crl.late(now):
            late.setdefault(crl.authority_id, []).append(crl)
    for authority_id, scopes in late.items():
        words = {"authority": cells.visible(scopes[0].authority_name), "count": cells.count(len(scopes))}
        ended = [crl.next_update for crl in scopes if crl.next_update is not None and crl.expired(now)]
        made = [crl.published_at for crl in scopes if crl.published_at is not None]
        if ended:
            words["span"] = cells.span(now - min(ended))
            text = _("CRL of %(authority)s ended %(span)s ago: verifiers refuse it.") % words
        elif len(made) < len(scopes):
            text = _("CRL of %(authority)s was never published.") % words
        else:
            words["span"] = cells.span(now - min(made))
            text = _("CRL of %(authority)s is late: %(span)s old.") % words
        url = links.changelist("revocation_crl", authority__id__exact=authority_id)
        yield Need("late", text, _("check the workers"), url)


def _expired(scope: Scope, counted: Standings) -> Iterable[Need]:
    count = coverage_counts.expired(counted.ended, fleets=scope.fleets)
    if count:
        text = ngettext(
            "%(count)s device stands on an expired certificate.",
            "%(count)s devices stand on expired certificates.",
            count,
        )
        text %= {"count": cells.count(count)}
        rows = links.certificates(coverage=Coverage.EXPIRED.value, fleet=scope.fleet_id)
        if scope.may("inventory.view_device") and scope.may("renewal.add_enrolmentsecret"):
            queue = links.changelist("inventory_expireddevice", fleet=scope.fleet_id)
            yield Need("late", text, _("enrol them anew"), queue, rows)
        else:
            yield Need("late", text, _("see them"), rows)


def _guessing(now: datetime) -> Iterable[Need]:
    """Name the addresses from which passwords were guessed lately."""
    bursts = (
        AuditEvent.objects.filter(action=AuditAction.LOGIN_FAILED, at__gte=now - _GUESSING_SPAN)
        .order_by()
        .values("source_address")
        .annotate(count=Count("id"), actor=Max("actor"))
        .filter(count__gte=_GUESSES)
        .order_by("-count")[:3]
    )
    for burst in bursts:
        address = burst["source_address"]
        words = {"count": cells.count(burst["count"]), "address": address or _("an unknown address")}
        text = _("%(count)s failed logins from %(address)s within an hour.") % words
        url = links.audit(action=AuditAction.LOGIN_FAILED.value, source_address=address)
        yield Need("late", text, _("see who was tried"), url)


def _cliffs(scope: Scope, cliffs: list[Cliff], now: datetime) -> Iterable[Need]:
    """Name the days that need a campaign: cliffs within reach of one, of which too much is planned by nobody."""
    within_reach = [cliff for cliff in cliffs if cliff.day - now.astimezone(UTC).date() <= _CAMPAIGN_REACH]
    for cliff in within_reach[:_MOST_CLIFFS]:
        next_day = cliff.day + timedelta(days=1)
        parts = coverage_counts.by_day(cliff.day, next_day, now, fleets=[cliff.fleet_id]).get(cliff.day, {})
        unplanned = parts.get(Coverage.UNPLANNED, 0)
        if unplanned <= (1 - _CLIFF_HANDLED) * cliff.count:
            continue
        words = {**_words(cliff), "unplanned": cells.count(unplanned)}
        text = _("Cliff: %(count)s of %(size)s expire on %(day)s%(cause)s, %(unplanned)s unplanned.") % words
        if scope.may("renewal.add_campaign"):
            yield Need("attention", text, _("plan a campaign"), plan_url(cliff))
        else:
            yield Need("attention", text, _("see them"), links.of_cliff(cliff))


def _growing(scope: Scope, cliffs: list[Cliff], now: datetime) -> Iterable[Need]:
    """Name the cliffs far ahead that issuing has made lately: it can still be issued otherwise."""
    lately = {
        (fleet, day)
        for fleet, day in CliffNotice.objects.filter(grew_at__gte=now - _GROWING_SPAN).values_list("fleet_id", "day")
    }
    far = [cliff for cliff in cliffs if cliff.day - now.astimezone(UTC).date() > _CAMPAIGN_REACH]
    for cliff in [cliff for cliff in far if (cliff.fleet_id, cliff.day) in lately][:_MOST_CLIFFS]:
        text = _("Issuing makes a cliff: %(count)s of %(size)s will expire on %(day)s%(cause)s.") % _words(cliff)
        if scope.may("inventory.change_profile"):
            yield Need("attention", text, _("spread it by jitter"), spread_url(cliff))
        else:
            yield Need("attention", text, _("see them"), links.of_cliff(cliff))


def spread_url(cliff: Cliff) -> str:
    """Return the jitter planner of the profile by which the successors of a cliff will be made."""
    planner = reverse("admin:profile_jitter", args=[cliff.profile_id])
    return links.with_query(planner, {"fleet": cliff.fleet_id, "cliff": cliff.day.isoformat()})


def _words(cliff: Cliff) -> dict[str, str]:
    return {
        "count": cells.count(cliff.count),
        "size": cells.count(cliff.fleet_size),
        "day": cliff.day.isoformat(),
        "cause": _cause(cliff),
    }


def _cause(cliff: Cliff) -> str:
    if cliff.cause is None:
        return ""
    return f" ({cliff.cause.axis.label} {cells.visible(cliff.cause.name)})"


def plan_url(cliff: Cliff) -> str:
    """Return the planning page, filled in for a cliff."""
    whole = cliff.cause is not None and cliff.cause.count == cliff.count
    group = {cliff.cause.axis.value: cliff.cause.id} if whole and cliff.cause else {}
    day = cliff.day
    question = {
        "name": _("Cliff of %s") % day,
        "fleet": cliff.fleet_id,
        **group,
        "expires_from": day.isoformat(),
        "expires_before": (day + timedelta(days=1)).isoformat(),
    }
    return links.with_query(reverse("admin:renewal_campaign_plan"), question)


def _campaigns(scope: Scope, now: datetime) -> Iterable[Need]:
    campaigns = Campaign.objects.of_fleets(scope.fleets).filter(state__in=UNFINISHED_STATES)
    escalated = dict(
        Target.objects.filter(state__in=GIVEN_UP_STATES, campaign__in=campaigns)
        .order_by()
        .values_list("campaign_id")
        .annotate(Count("id"))
    )
    for campaign in campaigns:
        yield from _of_campaign(scope, campaign, escalated.get(campaign.pk, 0), now)


def _of_campaign(scope: Scope, campaign: Campaign, escalated: int, now: datetime) -> Iterable[Need]:
    page = links.page("renewal_campaign", campaign.pk)
    words = {"campaign": cells.visible(campaign.name), "count": cells.count(escalated)}
    may_steer = scope.may("renewal.change_campaign")
    if campaign.state == CampaignState.PLANNED:
        yield Need(
            "attention",
            _("Campaign “%(campaign)s” is planned and waits.") % words,
            _("start it") if may_steer else _("see it"),
            page,
        )
        return
    if campaign.paused_because:
        told = " ".join(breaches(campaign))
        text = _("Campaign “%(campaign)s” has paused itself. %(told)s") % {**words, "told": told}
        yield Need("late", text, _("see why"), page)
    if campaign.sms_left == 0 and campaign.state == CampaignState.RUNNING:
        text = _("Campaign “%(campaign)s” has used up its budget of SMS.") % words
        yield Need("attention", text, _("change its settings") if may_steer else _("see it"), page)
    stuck = stuck_wave(campaign, now) if campaign.state == CampaignState.RUNNING else ""
    if stuck:
        yield Need("attention", _("Campaign “%(campaign)s”: %(stuck)s") % {**words, "stuck": stuck}, _("see it"), page)
    if (
        campaign.state == CampaignState.RUNNING
        and (campaign.ticked_at or campaign.started_at or now) < now - _TICK_SILENCE
    ):
        text = _("Campaign “%(campaign)s” runs, but nothing moves it.") % words
        yield Need("late", text, _("check the workers"), page)
    if campaign.due_at is not None and campaign.due_at < now:
        yield Need("late", _("Campaign “%(campaign)s” is past due.") % words, _("see who is missing"), page)
    if escalated:
        text = ngettext(
            "%(count)s device of “%(campaign)s” gave no answer.",
            "%(count)s devices of “%(campaign)s” gave no answer.",
            escalated,
        )
        url = links.changelist("renewal_target", campaign=campaign.pk, reached=TargetState.ESCALATED.value)
        yield Need("attention", text % words, _("see them"), url)
