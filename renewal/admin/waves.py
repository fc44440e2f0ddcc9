"""The waves of a campaign on its page: what each has shown, and what opens the next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from inventory.admin import cells, links
from inventory.admin.audited import actor_of
from inventory.formats import spans
from renewal.campaigns import evidence, waves
from renewal.campaigns.evidence import Evidence
from renewal.campaigns.ladder import Ladder
from renewal.campaigns.waves import Breach
from renewal.models import Campaign, CampaignState, Target, TargetState, Wave
from renewal.models.campaign import ANSWERED_IN_VAIN, UNFINISHED_STATES

_HOUR = timedelta(hours=1)
# So many waves are shown around the next one.
_BEFORE, _AFTER = 4, 4


@dataclass(frozen=True)
class WaveRow:
    """A wave with what came of it so far, each number with the list of the targets that it counts.

    `opens_latest`: the day by which it has to open for its ladder to be climbed; None once it is open.
    """

    wave: Wave
    opens_latest: datetime | None
    is_late: bool
    url: str
    confirmed: int
    confirmed_url: str
    failed: int
    failed_url: str


@dataclass(frozen=True)
class WavePart:
    """The block of a campaign's page. `next_wave`: the number of the one to be opened, None when all are open.

    `near`: the waves around that one; `rows`: all of them, when these are more.
    """

    near: Sequence[WaveRow]
    rows: Sequence[WaveRow]
    said: str
    next_wave: int | None


def wave_part(campaign: Campaign, now: datetime) -> WavePart | None:
    """Return what the page shows of waves, None for a campaign that is not cut. At most four queries."""
    if not (campaign.canary or campaign.wave_size):
        return None
    last, following = waves.ends_open(campaign)
    steerable = campaign.state in (CampaignState.RUNNING, CampaignState.PAUSED)
    ladder = Ladder.from_json(campaign.ladder)
    said = _("Every wave is open.")
    if following is not None and campaign.state not in UNFINISHED_STATES:
        said = _("It ended before every wave was open.")
    elif following is not None and (last is None or not steerable):
        said = _("The first wave opens with the start; each other by the answers of the one before.")
    elif following is not None and last is not None:
        shown = waves.of_wave(campaign, last, ladder, now)
        said = needs(shown, campaign.failures_to_open, following.number, now - (last.opened_at or now))
        said = f"{said} {late(following, ladder, now)}".rstrip()
    rows = _rows(campaign, ladder, now)
    near = _near(rows, following)
    more = rows if len(near) < len(rows) else []
    return WavePart(near, more, said, following.number if following and steerable else None)


def _near(rows: list[WaveRow], following: Wave | None) -> list[WaveRow]:
    place = len(rows) if following is None else [row.wave.pk for row in rows].index(following.pk)
    first = max(min(place - _BEFORE, len(rows) - _BEFORE - _AFTER), 0)
    return rows[first : first + _BEFORE + _AFTER]


def needs(shown: Evidence, limit: float, following: int, age: timedelta) -> str:
    """Say what the wave after the one that has `shown` something waits for. `age`: how long that one has been open."""
    missing = evidence.answers_missing(shown, limit)
    words = {
        "wave": following,
        "missing": cells.count(missing),
        "able": cells.count(shown.able),
        "ask": cells.count(shown.to_ask),
        "limit": f"{limit:.1%}",
        "bound": f"{evidence.upper_bound(shown.failed, shown.answered):.1%}",
    }
    if shown.to_ask:
        return _("Wave %(wave)s waits until %(ask)s more devices of the wave before were asked.") % words
    if not missing:
        return _("Wave %(wave)s opens within a minute: at most %(bound)s fail.") % words
    if missing > shown.able:
        text = _(
            "Wave %(wave)s cannot open by itself: it needs %(missing)s more answers, and %(able)s devices may answer "
            "still. Open it by hand once you know why the others failed or stay silent."
        )
        return text % words
    if not shown.answered or age <= timedelta(0):
        return _("Wave %(wave)s needs %(missing)s more answers to show that fewer than %(limit)s fail.") % words
    hours = ceil(missing / (shown.answered / max(age / _HOUR, 1.0)))
    text = _("Wave %(wave)s needs %(missing)s more answers to show that fewer than %(limit)s fail: about %(time)s.")
    return text % {**words, "time": spans.written(timedelta(hours=hours))}


def late(following: Wave, ladder: Ladder, now: datetime) -> str:
    """Say that a wave should have been opened by now, nothing when it is early enough."""
    latest = waves.opens_latest(following, ladder)
    if latest > now:
        return ""
    text = _("It is late: had it opened by %(day)s, its ladder would be climbed before the first certificate ends.")
    return text % {"day": f"{latest:%Y-%m-%d}"}


def stuck_wave(campaign: Campaign, now: datetime) -> str:
    """Say of a running campaign which wave cannot open by itself, or is late; nothing when all is well.

    At most two queries.
    """
    if not (campaign.canary or campaign.wave_size):
        return ""
    last, following = waves.ends_open(campaign)
    if last is None or following is None:
        return ""
    ladder = Ladder.from_json(campaign.ladder)
    shown = waves.of_wave(campaign, last, ladder, now)
    behind = late(following, ladder, now)
    opens = shown.to_ask or evidence.answers_missing(shown, campaign.failures_to_open) <= shown.able
    if opens and not behind:
        return ""
    said = needs(shown, campaign.failures_to_open, following.number, now - (last.opened_at or now))
    return f"{said} {behind}".rstrip()


def _rows(campaign: Campaign, ladder: Ladder, now: datetime) -> list[WaveRow]:
    counts = {
        number: (confirmed, failed)
        for number, confirmed, failed in Target.objects.filter(campaign=campaign)
        .order_by()
        .values_list("wave")
        .annotate(
            confirmed=Count("pk", filter=Q(state=TargetState.CONFIRMED)), failed=Count("pk", filter=ANSWERED_IN_VAIN)
        )
    }
    rows = []
    for wave in campaign.waves.all():
        confirmed, failed = counts.get(wave.number, (0, 0))
        latest = None if wave.opened_at else waves.opens_latest(wave, ladder)
        rows.append(
            WaveRow(
                wave,
                latest,
                latest is not None and latest <= now,
                _targets(campaign, wave),
                confirmed,
                _targets(campaign, wave, state__exact=TargetState.CONFIRMED.value),
                failed,
                _targets(campaign, wave, answered="in_vain"),
            )
        )
    return rows


def _targets(campaign: Campaign, wave: Wave, **question: str) -> str:
    return links.changelist("renewal_target", campaign=campaign.pk, wave=wave.number, **question)


def breaches(campaign: Campaign) -> list[str]:
    """Return why a campaign has paused itself, a sentence for each wave."""
    return [Breach(**each).told(campaign.failures_to_pause) for each in campaign.paused_because]


def open_view(request: HttpRequest, campaign: Campaign, site: admin.AdminSite) -> HttpResponse:
    """Show what opening the next wave by hand does; open it on POST."""
    if not request.user.has_perm("renewal.change_campaign"):
        raise PermissionDenied("renewal.change_campaign")
    now = timezone.now()
    part = wave_part(campaign, now)
    if part is None or part.next_wave is None:
        raise Http404
    if request.method == "POST":
        number = waves.open_next(campaign, now=now, actor=actor_of(request))
        if number is None:
            messages.error(request, _("No wave is left to open, or the campaign does not run any more."))
        else:
            messages.success(request, _("Wave %(number)s is open.") % {"number": number})
        return HttpResponseRedirect(links.page("renewal_campaign", campaign.pk))
    wave = campaign.waves.get(number=part.next_wave)
    context = {
        **site.each_context(request),
        "title": _("Open wave %(number)s") % {"number": wave.number},
        "campaign": campaign,
        "wave": wave,
        "said": part.said,
        "opts": Campaign._meta,
    }
    return TemplateResponse(request, "admin/renewal/open_wave.html", context)
