"""Work orders on paper: a PDF (A4) by site and route, each order with a QR code that leads to its page on a phone.

A name in letters that the font lacks prints as empty boxes (`sheets`): the serial number and the code stay.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import segno
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from fpdf import FPDF

from renewal.field.healing import Chance
from renewal.field.itinerary import Leg, note_of, place_of
from renewal.models import Outcome, WorkOrder
from renewal.models.work_order import BY_HAND
from renewal.sheets import FONT, INK, LINE, QUIET, RULE, cut, sheets

# Millimetres.
_CODE, _BLOCK = 26, 32
_BETWEEN = " · "


def sheet(legs: Sequence[Leg], chances: Mapping[int, Chance], address_of: Callable[[int], str], now: datetime) -> bytes:
    """Return the PDF. `address_of` gives the address, whole, of the page of an order by its id."""
    with sheets(_("Work orders, %(day)s") % {"day": _day(now)}, now) as pdf:
        for leg in legs:
            _draw_leg(pdf, leg, chances, address_of)
        if not legs:
            pdf.add_page()
            pdf.set_font(FONT, size=11)
            pdf.cell(0, LINE, _("No open order."))
        return bytes(pdf.output())


def _draw_leg(pdf: FPDF, leg: Leg, chances: Mapping[int, Chance], address_of: Callable[[int], str]) -> None:
    pdf.add_page()
    pdf.set_font(FONT, "B", 14)
    pdf.set_text_color(INK)
    pdf.cell(0, 9, cut(pdf, leg.site or _("Without a site"), pdf.epw), new_x="LMARGIN", new_y="NEXT")
    for number, order in enumerate(leg.orders, start=1):
        if pdf.get_y() + _BLOCK > pdf.h - 14:
            pdf.add_page()
        _draw_order(pdf, number, order, chances.get(order.pk), address_of(order.pk))


def _draw_order(pdf: FPDF, number: int, order: WorkOrder, chance: Chance | None, address: str) -> None:
    top, left = pdf.get_y(), pdf.l_margin + _CODE + 4
    width = pdf.w - pdf.r_margin - left
    pdf.set_draw_color(RULE)
    pdf.line(pdf.l_margin, top, pdf.w - pdf.r_margin, top)
    code = io.BytesIO()
    segno.make(address, error="m", micro=False).save(code, kind="png", scale=4, border=2)
    pdf.image(code, pdf.l_margin, top + 2, _CODE, _CODE, link=address)
    pdf.set_xy(left, top + 2)
    pdf.set_font(FONT, "B", 11)
    pdf.set_text_color(INK)
    head = f"{number}.  {order.device.serial}"
    pdf.cell(width, 6, cut(pdf, head, width), new_x="LEFT", new_y="NEXT")
    pdf.set_font(FONT, size=9)
    for line in _lines(order, chance):
        pdf.set_x(left)
        pdf.cell(width, LINE, cut(pdf, line, width), new_x="LEFT", new_y="NEXT")
    pdf.set_xy(left, top + _BLOCK - 7)
    pdf.set_font(FONT, size=8)
    pdf.set_text_color(QUIET)
    pdf.cell(width, LINE, "     ".join(f"[  ] {Outcome(outcome).label}" for outcome in BY_HAND))
    pdf.set_y(top + _BLOCK)


def _lines(order: WorkOrder, chance: Chance | None) -> list[str]:
    """Return at most three lines."""
    place, note, seen = place_of(order), note_of(order), order.device.last_seen_at
    attempts = order.target.attempts_made
    where = f"{place[0]}, {place[1]}" if place else _("place unknown")
    facts = [
        _("due %(day)s") % {"day": _day(order.due_at)},
        _("go from %(day)s") % {"day": _day(order.go_from)},
        _("last seen %(day)s") % {"day": _day(seen)} if seen else _("never seen"),
        ngettext("%(count)s attempt", "%(count)s attempts", attempts) % {"count": attempts},
    ]
    if chance:
        words = {"percent": chance.percent, "devices": chance.devices}
        facts.append(_("may heal itself: %(percent)s %% of %(devices)s") % words)
    noted = [note.model, note.battery, note.sim] if note else []
    if note and note.dead_zone_since:
        noted.append(_("no coverage since %(day)s") % {"day": _day(note.dead_zone_since)})
    return [_BETWEEN.join(facts), where, _BETWEEN.join(filter(None, noted))]


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()
