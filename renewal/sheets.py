"""PDF pages (A4) with fonts for most scripts, and a foot that says what they are of.

FiraGO, of the wheel `pymupdf-fonts`, has Latin with Vietnamese, Greek, Cyrillic, Georgian, Hebrew, Arabic, Devanagari
and Thai. What it lacks, as Chinese, Tamil and Khmer, prints as an empty box.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import pymupdf_fonts
from fpdf import FPDF

MEDIA_TYPE = "application/pdf"
FONT = "FiraGO"
_FACES = {"": "figo", "B": "figbo"}
# Millimetres.
MARGIN, LINE = 12, 5
QUIET, INK, RULE = 90, 0, 190


class Sheets(FPDF):
    """Pages that say what they are of, and which they are."""

    title_line = ""

    def footer(self) -> None:
        self.set_y(-10)
        self.set_font(FONT, size=8)
        self.set_text_color(QUIET)
        self.cell(0, 5, f"{self.title_line}   {self.page_no()}/{{nb}}")


@contextmanager
def sheets(title: str, now: datetime) -> Iterator[Sheets]:
    """Give pages that have the fonts; take their bytes while the context lasts."""
    pdf = Sheets(format="A4")
    pdf.title_line = title
    pdf.set_title(title)
    pdf.set_creation_date(now)
    pdf.set_margins(MARGIN, MARGIN)
    pdf.set_auto_page_break(auto=False)
    with tempfile.TemporaryDirectory() as directory:
        for style, face in _FACES.items():
            path = Path(directory, f"{face}.ttf")
            path.write_bytes(_font(face))
            pdf.add_font(FONT, style, path)
        # Joins what Arabic and Devanagari join, and sets Hebrew and Arabic from the right.
        pdf.set_text_shaping(use_shaping_engine=True)
        yield pdf


@lru_cache(maxsize=len(_FACES))
def _font(face: str) -> bytes:
    # Packed as text: unpacked once a process.
    return bytes(pymupdf_fonts.fontbuffers[face]())


def cut(pdf: FPDF, text: str, width: float) -> str:
    """Return the beginning of a text that fits."""
    text = " ".join(text.split())
    while text and pdf.get_string_width(text) > width:
        text = text[:-2] + "…" if len(text) > 1 else ""
    return text
