"""Work orders on paper: a PDF (A4) by site and route, each order with a QR code that leads to its page on a phone.

FiraGO, of the wheel `pymupdf-fonts`, has Latin with Vietnamese, Greek, Cyrillic, Georgian, Hebrew, Arabic, Devanagari
and Thai. What it lacks, as Chinese, Tamil and Khmer, prints as an empty box: the serial number and the code stay.
"""

import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import pymupdf_fonts
import segno
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from fpdf import FPDF

from renewal.field.healing import Chance
from renewal.field.itinerary import Leg, note_of, place_of
from renewal.models import Outcome, WorkOrder
from renewal.models.work_order import BY_HAND

MEDIA_TYPE = "application/pdf"
_FONT = "FiraGO"
_FACES = {"": "figo", "B": "figbo"}
# Millimetres.
_MARGIN, _CODE, _BLOCK, _LINE = 12, 26, 32, 5
_QUIET, _INK, _RULE = 90, 0, 190
_BETWEEN = " · "


class _Sheet(FPDF):
    """Pages that say what they are of, and which they are."""

    title_line = ""

    def footer(self) -> None:
        self.set_y(-10)
        self.set_font(_FONT, size=8)
        self.set_text_color(_QUIET)
        self.cell(0, 5, f"{self.title_line}   {self.page_no()}/{{nb}}")


def sheet(legs: Sequence[Leg], chances: Mapping[int, Chance], address_of: Callable[[int], str], now: datetime) -> bytes:
    """Return the PDF. `address_of` gives the address, whole, of the page of an order by its id."""
    pdf = _Sheet(format="A4")
    pdf.title_line = _("Work orders, %(day)s") % {"day": _day(now)}
    pdf.set_title(pdf.title_line)
    pdf.set_creation_date(now)
    pdf.set_margins(_MARGIN, _MARGIN)
    pdf.set_auto_page_break(auto=False)
    with tempfile.TemporaryDirectory() as directory:
        for style, face in _FACES.items():
            path = Path(directory, f"{face}.ttf")
            path.write_bytes(_font(face))
            pdf.add_font(_FONT, style, path)
        # Joins what Arabic and Devanagari join, and sets Hebrew and Arabic from the right.
        pdf.set_text_shaping(use_shaping_engine=True)
        for leg in legs:
            _draw_leg(pdf, leg, chances, address_of)
        if not legs:
            pdf.add_page()
            pdf.set_font(_FONT, size=11)
            pdf.cell(0, _LINE, _("No open order."))
        return bytes(pdf.output())


@lru_cache(maxsize=len(_FACES))
def _font(face: str) -> bytes:
    # Packed as text: unpacked once a process.
    return bytes(pymupdf_fonts.fontbuffers[face]())


def _draw_leg(pdf: FPDF, leg: Leg, chances: Mapping[int, Chance], address_of: Callable[[int], str]) -> None:
    pdf.add_page()
    pdf.set_font(_FONT, "B", 14)
    pdf.set_text_color(_INK)
    pdf.cell(0, 9, _cut(pdf, leg.site or _("Without a site"), pdf.epw), new_x="LMARGIN", new_y="NEXT")
    for number, order in enumerate(leg.orders, start=1):
        if pdf.get_y() + _BLOCK > pdf.h - 14:
            pdf.add_page()
        _draw_order(pdf, number, order, chances.get(order.pk), address_of(order.pk))


def _draw_order(pdf: FPDF, number: int, order: WorkOrder, chance: Chance | None, address: str) -> None:
    top, left = pdf.get_y(), pdf.l_margin + _CODE + 4
    width = pdf.w - pdf.r_margin - left
    pdf.set_draw_color(_RULE)
    pdf.line(pdf.l_margin, top, pdf.w - pdf.r_margin, top)
    code = io.BytesIO()
    segno.make(address, error="m", micro=False).save(code, kind="png", scale=4, border=2)
    pdf.image(code, pdf.l_margin, top + 2, _CODE, _CODE, link=address)
    pdf.set_xy(left, top + 2)
    pdf.set_font(_FONT, "B", 11)
    pdf.set_text_color(_INK)
    head = f"{number}.  {order.device.serial}"
    pdf.cell(width, 6, _cut(pdf, head, width), new_x="LEFT", new_y="NEXT")
    pdf.set_font(_FONT, size=9)
    for line in _lines(order, chance):
        pdf.set_x(left)
        pdf.cell(width, _LINE, _cut(pdf, line, width), new_x="LEFT", new_y="NEXT")
    pdf.set_xy(left, top + _BLOCK - 7)
    pdf.set_font(_FONT, size=8)
    pdf.set_text_color(_QUIET)
    pdf.cell(width, _LINE, "     ".join(f"[  ] {Outcome(outcome).label}" for outcome in BY_HAND))
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


def _cut(pdf: FPDF, text: str, width: float) -> str:
    """Return the beginning of a text that fits."""
    text = " ".join(text.split())
    while text and pdf.get_string_width(text) > width:
        text = text[:-2] + "…" if len(text) > 1 else ""
    return text


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()
