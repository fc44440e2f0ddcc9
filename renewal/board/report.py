"""The report of a campaign that has ended: what was chosen, what came of it, and who did what. As PDF and as CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import models
from django.db.models import Count, F, Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.audit import record
from inventory.audit.record import Actor
from inventory.models import AuditAction, AuditEvent
from renewal import sheets
from renewal.board import snapshot
from renewal.board.snapshot import Board
from renewal.campaigns import ladder_text
from renewal.campaigns.ladder import Ladder
from renewal.models import Campaign, CampaignState, Target, TargetState, WorkOrder
from renewal.models.campaign import GIVEN_UP_STATES
from renewal.sheets import FONT, INK, LINE, QUIET, RULE, Sheets, cut

# Of the targets that missed or were given up; the list of targets exports them all.
MOST_LISTED = 1000
ENDED_STATES = (CampaignState.FINISHED, CampaignState.STOPPED)
_STEERING = (
    AuditAction.CAMPAIGN_PLANNED,
    AuditAction.CAMPAIGN_STARTED,
    AuditAction.CAMPAIGN_PAUSED,
    AuditAction.CAMPAIGN_STOPPED,
    AuditAction.CAMPAIGN_FINISHED,
)
# What spreadsheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_TITLE_HEIGHT = 10


class ReportKind(models.TextChoices):
    PDF = "pdf", gettext_lazy("report (PDF)")
    CSV = "csv", gettext_lazy("report (CSV)")


MEDIA_TYPES = {ReportKind.PDF: sheets.MEDIA_TYPE, ReportKind.CSV: "text/csv; charset=utf-8"}


@dataclass(frozen=True)
class Section:
    """A table. `note` says what is not in it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | int]]
    note: str = ""


@dataclass(frozen=True)
class ReportFile:
    name: str
    media_type: str
    content: bytes


def report_of(campaign: Campaign, kind: ReportKind, *, now: datetime, actor: Actor) -> ReportFile:
    """Return the report of a campaign that has ended, and record who took it. Twelve queries and the audit event.

    What came of the targets is told as of the end; later renewals are counted by nobody.
    """
    ended_at = campaign.finished_at
    if campaign.state not in ENDED_STATES or ended_at is None:
        raise ValueError(f"Campaign {campaign.pk} is {campaign.state}: only what has ended has a report.")
    title = _("Campaign “%(name)s”") % {"name": campaign.name}
    sections = _sections(campaign, snapshot.read(campaign, ended_at), ended_at)
    content = _csv(sections) if kind == ReportKind.CSV else _pdf(title, sections, now)
    told = {"campaign": campaign.pk, "format": kind.value, "rows": sum(len(each.rows) for each in sections)}
    name = f"report of campaign: {campaign.name}"
    record.record(
        [record.event(AuditAction.EXPORT_ENDED, now=now, actor=actor, object_name=name, details=told | {"whole": True})]
    )
    return ReportFile(f"campaign-{campaign.pk}-report.{kind.value}", MEDIA_TYPES[kind], content)


def _sections(campaign: Campaign, board: Board, ended_at: datetime) -> list[Section]:
    return [
        _chosen(campaign, board),
        Section(_("Ladder"), [_("rungs")], [[line] for line in _ladder(campaign)]),
        _results(board),
        _yields(board),
        _failures(board),
        _missed(campaign, ended_at),
        _orders(campaign),
        _scores(board),
        _steering(campaign),
    ]


def _chosen(campaign: Campaign, board: Board) -> Section:
    rows: list[list[str | int]] = [
        [_("campaign"), campaign.name],
        [_("fleet"), campaign.fleet.name],
        [_("certificates that end from"), _moment(campaign.expires_from)],
        [_("to before"), _moment(campaign.expires_before)],
        [_("targets"), board.findings.total],
        [_("messages a minute"), campaign.triggers_per_minute],
        [_("due"), _moment(campaign.due_at)],
        [_("planned"), f"{_moment(campaign.created_at)}, {campaign.created_by}"],
        [_("started"), _moment(campaign.started_at)],
        [campaign.get_state_display(), _moment(campaign.finished_at)],
    ]
    return Section(_("What was chosen"), [_("what"), _("value")], rows)


def _ladder(campaign: Campaign) -> list[str]:
    return ladder_text.written(Ladder.from_json(campaign.ladder)).splitlines()


def _results(board: Board) -> Section:
    total = board.findings.total
    rows: list[list[str | int]] = [
        [str(state.label), count, f"{count / total:.2%}"]
        for state, count in board.findings.by_state().items()
        if count and total
    ]
    return Section(_("Result"), [_("state"), _("targets"), _("share")], rows)


def _yields(board: Board) -> Section:
    rows: list[list[str | int]] = [
        [
            _("rung %(rung)s, %(channel)s, message %(number)s")
            % {"rung": each.step.rung + 1, "channel": each.step.channel.label, "number": each.step.attempt},
            each.sent,
            each.reached,
            each.renewed,
            f"{each.cost:.2f}",
        ]
        for each in board.yields.steps
    ]
    used = board.yields.used
    rows.append([_("before any message"), "", "", board.yields.unasked, ""])
    rows.append([_("reminded of a new certificate, and then used it"), board.yields.reminded, "", used, ""])
    return Section(_("Yield"), [_("step of the ladder"), _("sent"), _("reached"), _("renewed"), _("cost")], rows)


def _failures(board: Board) -> Section:
    left = board.left_to_people
    rows: list[list[str | int]] = [[_("work orders"), left.orders], [_("missed their date"), board.findings.missed]]
    rows += [[f"{each.state.label}: {each.reason.label}", each.targets] for each in board.given_up]
    rows += [[_("refused: %(code)s") % {"code": each.code}, each.targets] for each in board.refused]
    return Section(_("Failures"), [_("cause"), _("targets")], rows)


def _missed(campaign: Campaign, ended_at: datetime) -> Section:
    late = Q(issued_at__isnull=True) | Q(issued_at__gt=F("ends_at"))
    wanted = Q(ends_at__lte=ended_at) & late & ~Q(state=TargetState.WITHDRAWN)
    targets = Target.objects.filter(wanted | Q(state__in=GIVEN_UP_STATES), campaign=campaign)
    listed = targets.select_related("device__site").order_by("ends_at", "pk")[: MOST_LISTED + 1]
    rows: list[list[str | int]] = [
        [
            target.device.serial,
            target.device.site.name if target.device.site else "",
            _moment(target.ends_at),
            str(target.get_state_display()),
            str(target.get_reason_display()),
            target.attempts_made,
        ]
        for target in listed
    ]
    note = ""
    if len(rows) > MOST_LISTED:
        note = _("The first %(most)s; the list of targets exports them all.") % {"most": MOST_LISTED}
    columns = [_("device"), _("site"), _("certificate ends"), _("state"), _("reason"), _("attempts")]
    return Section(_("Missed or left to people"), columns, rows[:MOST_LISTED], note)


def _orders(campaign: Campaign) -> Section:
    counted = (
        WorkOrder.objects.filter(target__campaign=campaign)
        .order_by("outcome")
        .values_list("outcome")
        .annotate(Count("pk"))
    )
    words = dict(WorkOrder._meta.get_field("outcome").flatchoices)
    rows = [[str(words.get(outcome, _("open"))), number] for outcome, number in counted]
    return Section(_("Work orders"), [_("outcome"), _("orders")], rows)


def _scores(board: Board) -> Section:
    rows = [[each.horizon_days, each.scored, each.open_held, each.missed_held] for each in board.scores]
    columns = [_("days ahead"), _("forecasts scored"), _("P90 of open held"), _("P90 of missed held")]
    return Section(_("Forecasts"), columns, rows)


def _steering(campaign: Campaign) -> Section:
    events = AuditEvent.objects.filter(action__in=_STEERING, details__campaign=campaign.pk).order_by("at", "id")
    rows = [[_moment(each.at), str(each.get_action_display()), each.actor] for each in events]
    return Section(_("Who did what"), [_("time"), _("act"), _("who")], rows)


def _moment(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else ""


def _csv(sections: Sequence[Section]) -> bytes:
    """Return all tables in one file: a row begins with the title of its table, the first of each names its columns."""
    out = io.StringIO()
    writer = csv.writer(out)
    for section in sections:
        writer.writerow([section.title, *section.columns])
        for row in section.rows:
            writer.writerow([section.title, *map(_harmless, row)])
        if section.note:
            writer.writerow([section.title, section.note])
    return out.getvalue().encode("utf-8-sig")


def _harmless(value: str | int) -> str | int:
    """Keep a spreadsheet from taking a name for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _pdf(title: str, sections: Sequence[Section], now: datetime) -> bytes:
    with sheets.sheets(title, now) as pdf:
        pdf.add_page()
        pdf.set_font(FONT, "B", 16)
        pdf.cell(0, _TITLE_HEIGHT, cut(pdf, title, pdf.epw), new_x="LMARGIN", new_y="NEXT")
        for section in sections:
            _draw(pdf, section)
        return bytes(pdf.output())


def _draw(pdf: Sheets, section: Section) -> None:
    _room_for(pdf, _TITLE_HEIGHT + 2 * LINE)
    pdf.set_y(pdf.get_y() + LINE)
    pdf.set_font(FONT, "B", 11)
    pdf.set_text_color(INK)
    pdf.cell(0, LINE + 1, section.title, new_x="LMARGIN", new_y="NEXT")
    if not section.rows:
        _line(pdf, [_("none")], 1)
        return
    pdf.set_text_color(QUIET)
    _line(pdf, section.columns, len(section.columns))
    pdf.set_draw_color(RULE)
    pdf.line(pdf.l_margin, pdf.get_y(), pdf.w - pdf.r_margin, pdf.get_y())
    pdf.set_text_color(INK)
    for row in section.rows:
        _room_for(pdf, LINE)
        _line(pdf, row, len(section.columns))
    if section.note:
        _room_for(pdf, LINE)
        _line(pdf, [section.note], 1)


def _room_for(pdf: Sheets, height: float) -> None:
    if pdf.get_y() + height > pdf.h - 14:
        pdf.add_page()


def _line(pdf: Sheets, values: Sequence[str | int], columns: int) -> None:
    """Write a row: the first column is twice as wide as the others, and numbers stand at the right of theirs."""
    pdf.set_font(FONT, size=9)
    each = pdf.epw / (columns + 1)
    for number, value in enumerate(values):
        width = pdf.epw if columns == 1 else each * (2 if number == 0 else 1)
        shown = f"{value:,}" if isinstance(value, int) else value
        pdf.cell(width, LINE, cut(pdf, shown, width - 2), align="R" if isinstance(value, int) else "L")
    pdf.set_xy(pdf.l_margin, pdf.get_y() + LINE)
