"""Charts as SVG: geometry from `certportal.dashboard.geometry`, drawn by templates with classes and attributes only."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils.formats import number_format
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from certportal.dashboard.expiry_map import ExpiryMap
from certportal.dashboard.geometry import days, timeline
from certportal.dashboard.geometry.heatmap import HEAD as ROWS_FROM
from certportal.dashboard.jitter import EXISTING, PLANNED, Simulation
from certportal.dashboard.weeks import Weeks
from inventory.admin import cells, links
from inventory.devices.timeline import Moment
from renewal.admin.campaign_board import TideLinks
from renewal.coverage import Coverage

register = template.Library()

_TIMELINE_WIDTH = 1376
# The word at the line of today is written to its left where it has not this much room.
_ROOM_FOR_NOW = 40


@register.inclusion_tag("certportal/charts/heatmap.svg")
def heatmap(expiry_map: ExpiryMap) -> dict[str, Any]:
    """Draw the expiry map without its row labels, which stand beside it and do not scroll."""
    # Hundreds of cells: put together here, because a template takes ten times as long for each.
    drawn = expiry_map.map
    cells_ = format_html_join(
        "\n",
        '<a href="{}"><use href="#cell" x="{}" y="{}" class="heat-{}"/><title>{}</title></a>',
        (
            (expiry_map.urls[cell], cell.x, cell.y, cell.step, title)
            for cell, title in zip(drawn.cells, _cell_titles(expiry_map), strict=True)
        ),
    )
    # Under the cells; for who points at an empty one. Not in the order of the keyboard, which has the cells.
    days_ = format_html_join(
        "\n",
        '<a href="{}" tabindex="-1" aria-hidden="true"><rect x="{}" y="{}" width="{}" height="{}" class="day">'
        "<title>{}</title></rect></a>",
        (
            (url, column.x, ROWS_FROM, drawn.cell_width, drawn.foot - ROWS_FROM, column.start.isoformat())
            for column, url in expiry_map.column_urls.items()
        ),
    )
    outlines = format_html_join(
        "\n",
        '<rect x="{}" y="{}" width="{}" height="{}" class="cliff"/>',
        ((x, ROWS_FROM, drawn.cell_width, drawn.foot - ROWS_FROM) for x in drawn.outlined),
    )
    urls = {cliff.day: links.of_cliff(cliff) for cliff in expiry_map.cliffs}
    labels = [{"label": label, "url": urls[label.day]} for label in expiry_map.map.cliffs]
    return {"map": drawn, "days": days_, "cells": cells_, "outlines": outlines, "labels": labels}


@register.simple_tag
def heatmap_rows(expiry_map: ExpiryMap) -> SafeString:
    """Return the columns of the map in which anything ends as rows of a table, with a column for each of its rows."""
    counts = {(cell.column, cell.row): cells.count(cell.count) for cell in expiry_map.map.cells}
    rows = []
    for column in dict.fromkeys(cell.column for cell in sorted(expiry_map.map.cells, key=lambda each: each.x)):
        numbers = (counts.get((column, row.id), "") for row in expiry_map.rows)
        rows.append((column.start, column.end, format_html_join("", "<td>{}</td>", zip(numbers))))
    return format_html_join("", "<tr><th>{}</th><th>{}</th>{}</tr>", rows)


def _cell_titles(expiry_map: ExpiryMap) -> Iterator[str]:
    names = {row.id: cells.visible(row.name) or _("none") for row in expiry_map.rows}
    texts = {
        1: _("%(count)s expire on %(day)s, %(row)s"),
        7: _("%(count)s expire in the week from %(day)s, %(row)s"),
    }
    of_month = _("%(count)s expire in the month from %(day)s, %(row)s")
    for cell in expiry_map.map.cells:
        start = cell.column.start
        text = texts.get((cell.column.end - start).days, of_month)
        yield text % {"count": cells.count(cell.count), "row": names[cell.row], "day": start.isoformat()}


@register.inclusion_tag("certportal/charts/weeks.svg")
def week_bars(weeks: Weeks) -> dict[str, Any]:
    """Draw the stacked bars of expiry by week."""
    labels = {part.value: str(part.label) for part in Coverage}
    bars = [
        {
            "bar": bar,
            "url": weeks.urls[bar.week, bar.part],
            "title": _("%(count)s %(part)s, in the week from %(week)s")
            % {"count": number_format(bar.count, force_grouping=True), "part": labels[bar.part], "week": bar.week},
        }
        for bar in weeks.chart.bars
    ]
    return {"chart": weeks.chart, "bars": bars}


@register.inclusion_tag("certportal/charts/days.svg")
def day_bars(chart: days.Days) -> dict[str, Any]:
    """Draw what ends on each day, with and without a plan."""
    words = {EXISTING: _("%(count)s end anyway on %(day)s"), PLANNED: _("%(count)s of these end on %(day)s")}
    bars = format_html_join(
        "\n",
        '<rect x="{}" y="{}" width="{}" height="{}" class="day-{}"><title>{}</title></rect>',
        (
            (
                bar.x,
                bar.y,
                bar.width,
                bar.height,
                bar.part,
                words[bar.part] % {"count": _about(bar.count), "day": bar.day},
            )
            for bar in chart.bars
        ),
    )
    return {"chart": chart, "bars": bars}


@register.simple_tag
def day_rows(simulation: Simulation) -> SafeString:
    """Return the histograms of the planner as rows of a table."""
    histograms = (simulation.existing, simulation.before, simulation.after)
    return format_html_join(
        "",
        '<tr><td>{}</td><td class="number">{}</td><td class="number">{}</td><td class="number">{}</td></tr>',
        (
            (day.isoformat(), *(_about(histogram.get(day, 0.0)) for histogram in histograms))
            for day in sorted({*simulation.before, *simulation.after})
        ),
    )


def _about(number: float) -> str:
    """Write an expectation: whole, and below ten with its first decimal."""
    return cells.count(round(number)) if number >= 10 or number == int(number) else number_format(number, 1)


@register.inclusion_tag("certportal/charts/timeline.svg")
def line_of_time(moments: Sequence[Moment], now: datetime) -> dict[str, Any]:
    """Draw the story of a device on one axis."""
    laid = timeline.layout([(moment.at, moment.tone) for moment in moments], now, _TIMELINE_WIDTH)
    marks = [
        {
            "mark": mark,
            "count": len(mark.moments),
            "title": "\n".join(f"{moments[i].at:%Y-%m-%d %H:%M} {moments[i].title}" for i in mark.moments[:12]),
        }
        for mark in laid.marks
    ]
    return {
        "line": laid,
        "marks": marks,
        "height": timeline.HEIGHT,
        "axis": timeline.AXIS,
        "now_at_edge": laid.now_x > laid.width - _ROOM_FOR_NOW,
    }


@register.inclusion_tag("certportal/charts/tide.svg")
def tide_chart(chart: TideLinks) -> dict[str, Any]:
    """Draw how many targets of a campaign are open over time, and the wall at which they must not be."""
    laid = chart.tide
    parts = [
        {
            "part": part,
            "url": url,
            "title": _("%(count)s %(state)s now") % {"count": cells.count(part.count), "state": part.state.label},
        }
        for part, url in chart.parts
    ]
    words = _("certificates of %(count)s open targets end from %(day)s to before %(next)s")
    ends = [
        {
            "end": end,
            "url": url,
            "title": words
            % {"count": cells.count(end.count), "day": f"{end.start:%Y-%m-%d}", "next": f"{end.end:%Y-%m-%d}"},
        }
        for end, url in chart.ends
    ]
    cliff_text = ""
    if laid.cliff:
        about = {"count": cells.count(laid.cliff.count), "day": f"{laid.cliff.start:%Y-%m-%d}"}
        one_day = laid.cliff.end - laid.cliff.start <= timedelta(days=1)
        text = _("cliff: %(count)s end on %(day)s") if one_day else _("cliff: %(count)s end from %(day)s on")
        cliff_text = text % about
    return {"tide": laid, "parts": parts, "ends": ends, "cliff_text": cliff_text}
