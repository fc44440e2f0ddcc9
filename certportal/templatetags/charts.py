"""Charts as SVG: geometry from `certportal.dashboard.geometry`, drawn by templates with classes and attributes only."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from certportal.dashboard.expiry_map import ExpiryMap, day_url
from certportal.dashboard.geometry import timeline
from certportal.dashboard.weeks import Weeks
from inventory.admin import cells
from inventory.story import Moment
from renewal.coverage import Coverage

register = template.Library()

_TIMELINE_WIDTH = 1376
# The word at the line of today is written to its left where it has not this much room.
_ROOM_FOR_NOW = 40


@register.inclusion_tag("certportal/charts/heatmap.svg")
def heatmap(expiry_map: ExpiryMap) -> dict[str, Any]:
    """Draw the expiry map without its row labels, which stand beside it and do not scroll."""
    names = {row.id: row.name for row in expiry_map.rows}
    cells_ = [
        {
            "cell": cell,
            "url": expiry_map.urls[cell],
            "title": _cell_title(cell.count, names[cell.row], cell.column.start, cell.column.end),
        }
        for cell in expiry_map.map.cells
    ]
    urls = {cliff.day: day_url(cliff) for cliff in expiry_map.cliffs}
    labels = [{"label": label, "url": urls[label.day]} for label in expiry_map.map.cliffs]
    return {"map": expiry_map.map, "cells": cells_, "labels": labels, "rows": range(len(expiry_map.rows))}


def _cell_title(count: int, row: str, start: Any, end: Any) -> str:
    words = {
        "count": number_format(count, force_grouping=True),
        "row": cells.visible(row) or _("none"),
        "day": start.isoformat(),
    }
    if (end - start).days == 1:
        return _("%(count)s expire on %(day)s, %(row)s") % words
    return _("%(count)s expire in the week from %(day)s, %(row)s") % words


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
