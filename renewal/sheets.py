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
from typing import Any

import pymupdf_fonts
from fpdf import FPDF
from fpdf.fonts import TTFFont

MEDIA_TYPE = "application/pdf"
FONT = "FiraGO"
_FACES = {"": "figo", "B": "figbo"}
# How letters join: read by the shaping engine from the file, and never written into a PDF.
_SHAPING_TABLES = ("GDEF", "GPOS", "GSUB")
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

    def output(self, *args: Any, **options: Any) -> Any:
        """Return what `FPDF.output` does, without unpacking tables of the fonts that it drops: most of its time."""
        for font in self.fonts.values():
            if isinstance(font, TTFFont):
                for table in _SHAPING_TABLES:
                    if table in font.ttfont:
                        del font.ttfont[table]
        return super().output(*args, **options)


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
