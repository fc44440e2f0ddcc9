"""The board on the page of a campaign: its parts in words, each number with the list of what it counts."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.http import Http404, HttpResponse
from django.template.defaultfilters import floatformat
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from inventory.admin import cells, links
from inventory.audit.record import Actor
from renewal.board import tide
from renewal.board.failures import YARDSTICK, LeftToPeople
from renewal.board.findings import Findings
from renewal.board.forecast import Forecast
from renewal.board.report import ENDED_STATES, ReportKind, report_of
from renewal.board.snapshot import Board
from renewal.board.step_yield import Stage, Step, Yields
from renewal.board.tide import End, Part, Tide
from renewal.board.waits import Phase
from renewal.models import Campaign

# Values of the list's filter `message` beside those of steps.
UNASKED, REMINDED, REMINDED_USED = "unasked", "reminded", "reminded-used"
_MOST_CAUSES = 12
REFUSALS: dict[str, str | Promise] = {
    "certificate_revoked": gettext_lazy("its certificate is revoked"),
    "issuer_revoked": gettext_lazy("the issuer of its certificate is revoked"),
    "certificate_superseded": gettext_lazy("it used its new certificate already, and came with the old one"),
    "certificate_expired": gettext_lazy("its certificate has ended"),
    "certificate_not_yet_valid": gettext_lazy("its certificate is not valid yet"),
    "device_not_in_service": gettext_lazy("it is out of service"),
    "device_revoked": gettext_lazy("it was revoked, and its case is open"),
    "other_fleet": gettext_lazy("it asked at the address of another fleet"),
    "window_not_open": gettext_lazy("its renewal window is not open yet"),
    "name_mismatch": gettext_lazy("the names of its request are not its own"),
    "key_type": gettext_lazy("its profile does not allow the type of its new key"),
    "key_reused": gettext_lazy("it did not make a new key"),
    "key_compromised": gettext_lazy("its new key is known to be compromised"),
    "key_of_another_device": gettext_lazy("its new key is that of another device"),
    "too_many_unconfirmed": gettext_lazy("it has too many certificates that it never used"),
    "issuer_too_old": gettext_lazy("its issuer ends too soon to sign for it"),
    "issuer_unavailable": gettext_lazy("its issuer could not sign"),
    "profile_unusable": gettext_lazy("its profile cannot be used to sign"),
}


def targets_url(campaign: Campaign, **question: object) -> str:
    return links.changelist("renewal_target", campaign=campaign.pk, **question)


@dataclass(frozen=True)
class Linked:
    """A number and the list of the rows that it counts."""

    count: int
    url: str


@dataclass(frozen=True)
class YieldRow:
    label: str
    sent: Linked
    reached: Linked
    renewed: Linked
    a_message: str
    cost: str
    a_renewal: str


@dataclass(frozen=True)
class Cause:
    label: str
    targets: Linked


@dataclass(frozen=True)
class TideLinks:
    """The chart, and for each of its parts and ends the list that it leads to."""

    tide: Tide
    parts: list[tuple[Part, str]]
    ends: list[tuple[End, str]]


def context(campaign: Campaign, board: Board | None) -> dict[str, Any]:
    """Return what the board's template shows; without a board, that it is being read."""
    if board is None:
        return {"board": None}
    findings, forecast = board.findings, board.forecast
    chart = tide.layout(findings, board.past, forecast, started_at=campaign.started_at)
    return {
        "board": board,
        "chart": _links(campaign, chart),
        "points": forecast.points if forecast else [],
        "course": course_line(findings, forecast),
        "goes_on": goes_on_lines(campaign, findings, forecast),
        "confirmed_lately": sum(each.confirmed_lately for each in findings.standings),
        "confirmed_lately_url": targets_url(
            campaign, confirmed_at__gte=links.moment(findings.at - timedelta(days=1)), state__exact="confirmed"
        ),
        "held": held_line(board),
        "yields": yield_rows(campaign, board.yields),
        "spent": money(board.yields.cost) if board.yields.cost else "",
        "unasked": Linked(board.yields.unasked, targets_url(campaign, message=UNASKED)),
        "reminded": Linked(board.yields.reminded, targets_url(campaign, message=REMINDED)),
        "reminded_used": Linked(board.yields.used, targets_url(campaign, message=REMINDED_USED)),
        "people": people_line(board.left_to_people),
        "people_tone": "good" if board.left_to_people.holds else "attention",
        "reports": [
            (reverse("admin:renewal_campaign_report", args=[campaign.pk, kind.value]), kind.label)
            for kind in ReportKind
            if campaign.state in ENDED_STATES
        ],
        "orders": Linked(
            board.left_to_people.orders, links.changelist("renewal_workorder", campaign=campaign.pk, state="all")
        ),
        "refused": [
            Cause(
                str(REFUSALS.get(each.code, each.code)),
                Linked(each.targets, targets_url(campaign, refused=each.code)),
            )
            for each in board.refused[:_MOST_CAUSES]
        ],
        "given_up": [
            Cause(
                f"{each.state.label}: {each.reason.label}",
                Linked(
                    each.targets,
                    targets_url(campaign, state__exact=each.state.value, reason__exact=each.reason.value),
                ),
            )
            for each in board.given_up
        ],
    }


def _links(campaign: Campaign, chart: Tide) -> TideLinks:
    states = ",".join(state.value for state in tide.STACK)
    ends = [
        (
            each,
            targets_url(
                campaign,
                state__in=states,
                ends_at__gte=links.moment(each.start),
                ends_at__lt=links.moment(each.end),
            ),
        )
        for each in chart.ends
    ]
    parts = [(each, targets_url(campaign, state__exact=each.state.value)) for each in chart.parts]
    return TideLinks(chart, parts, ends)


def share(part: int, whole: int) -> str:
    """Return a share in percent, with as many decimals as a thousandth of it needs."""
    percent = 100 * part / whole if whole else 0.0
    if percent in {0, 100}:
        return f"{percent:.0f} %"
    return f"{percent:.2f} %" if percent < 1 else f"{percent:.1f} %"


def course_line(findings: Findings, forecast: Forecast | None) -> str:
    """Return the finding of the tide chart in one sentence."""
    if forecast is None:
        return ""
    missed, total = forecast.missed, findings.total
    if not missed.p90:
        return _("On this course none of %(total)s misses its date.") % {"total": cells.count(total)}
    if not missed.p50:
        words = {"most": cells.count(missed.p90), "share": share(missed.p90, total)}
        return _("On this course none misses its date; at most %(most)s (%(share)s) in nine courses of ten.") % words
    words = {"count": cells.count(missed.p50), "share": share(missed.p50, total), "most": cells.count(missed.p90)}
    text = ngettext(
        "On this course %(count)s (%(share)s) misses its date; at most %(most)s in nine courses of ten.",
        "On this course %(count)s (%(share)s) miss their date; at most %(most)s in nine courses of ten.",
        missed.p50,
    )
    return text % words


def goes_on_lines(campaign: Campaign, findings: Findings, forecast: Forecast | None) -> list[str]:
    """Return when the campaign is through, who does not answer, and what comes next."""
    if forecast is None:
        return []
    lines = []
    p50, p90 = forecast.through_in()
    if p50 is not None and p50 > 0:
        day = f"{findings.at + timedelta(days=p50):%Y-%m-%d}"
        if p90 is None:
            lines.append(_("It may be through by %(day)s; that is no more than even.") % {"day": day})
        else:
            late = f"{findings.at + timedelta(days=p90):%Y-%m-%d}"
            words = {"day": day, "late": late}
            lines.append(_("It may be through by %(day)s, and is by %(late)s in nine courses of ten.") % words)
    lines += _silent_lines(campaign, findings)
    return lines


def _silent_lines(campaign: Campaign, findings: Findings) -> list[str]:
    silent = [each for each in findings.standings if each.phase is Phase.ASKED]
    count = sum(each.count for each in silent)
    lines = []
    if count:
        steps = [each.next_step for each in silent if each.next_step is not None]
        moment = campaign.moment(min(steps)) if steps else None
        words = {"count": cells.count(count)}
        if moment is None:
            text = ngettext("%(count)s has not answered yet.", "%(count)s have not answered yet.", count)
        elif moment <= findings.at:
            text = ngettext(
                "%(count)s has not answered yet; the next step is due with the next tick.",
                "%(count)s have not answered yet; the next step is due with the next tick.",
                count,
            )
        else:
            text = ngettext(
                "%(count)s has not answered yet; the next step is on %(when)s.",
                "%(count)s have not answered yet; the next step is on %(when)s.",
                count,
            )
            words["when"] = f"{moment:%Y-%m-%d %H:%M}"
        lines.append(text % words)
    left = sum(each.count for each in findings.standings if each.phase in {Phase.GIVEN_UP, Phase.ENDED})
    if left:
        text = ngettext(
            "%(count)s is left to people: no message follows.",
            "%(count)s are left to people: no message follows.",
            left,
        )
        lines.append(text % {"count": cells.count(left)})
    return lines


def held_line(board: Board) -> str:
    """Return how well the forecasts of a week ahead held, of a day ahead before there are any."""
    scored = {each.horizon_days: each for each in board.scores}
    best = scored.get(7) or scored.get(1)
    if best is None:
        return ""
    words = {"held": best.open_held, "days": best.scored, "ahead": best.horizon_days}
    return _("Forecasts of %(ahead)s d ahead: the P90 held on %(held)s of %(days)s days.") % words


def people_line(left: LeftToPeople) -> str:
    """Return the share left to people beside its yardstick."""
    words = {"share": share(left.orders, left.targets), "limit": share(round(YARDSTICK * 10_000), 10_000)}
    if left.holds:
        return _("%(share)s left to people: within the yardstick of %(limit)s.") % words
    return _("%(share)s left to people: more than the yardstick of %(limit)s.") % words


def report(campaign: Campaign, kind: str, *, now: datetime, actor: Actor) -> HttpResponse:
    """Answer with the report of a campaign. Raises Http404 for one that has not ended, and for an unknown kind."""
    if kind not in ReportKind.values or campaign.state not in ENDED_STATES:
        raise Http404
    file = report_of(campaign, ReportKind(kind), now=now, actor=actor)
    headers = {"Content-Disposition": f'attachment; filename="{file.name}"', "Cache-Control": "no-store"}
    return HttpResponse(file.content, content_type=file.media_type, headers=headers)


def yield_rows(campaign: Campaign, found: Yields) -> list[YieldRow]:
    def linked(count: int, step: Step, stage: Stage) -> Linked:
        return Linked(count, targets_url(campaign, message=f"{step}-{stage.value}"))

    return [
        YieldRow(
            _("rung %(rung)s, %(channel)s, message %(number)s")
            % {"rung": each.step.rung + 1, "channel": each.step.channel.label, "number": each.step.attempt},
            linked(each.sent, each.step, Stage.SENT),
            linked(each.reached, each.step, Stage.REACHED),
            linked(each.renewed, each.step, Stage.RENEWED),
            share(each.renewed, each.sent),
            money(each.cost),
            money(each.cost_of_a_renewal),
        )
        for each in found.steps
    ]


def money(amount: Decimal | None) -> str:
    """Return an amount of the money that people gave prices in, which the portal does not know."""
    return "" if amount is None else floatformat(amount, "2g")
