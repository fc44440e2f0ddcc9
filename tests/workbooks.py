"""Reading a workbook with nothing but its standard (ISO/IEC 29500): an archive of XML."""

import io
import re
import zipfile
from xml.etree import ElementTree

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def sheets(content: bytes) -> dict[str, list[list[str]]]:
    """Return the rows of each sheet by its name, each value as text: a time as the number of days since 1900."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        book = ElementTree.fromstring(archive.read("xl/workbook.xml"))  # noqa: S314 - of our own making
        names = [sheet.attrib["name"] for sheet in book.iter(f"{_MAIN}sheet")]
        return {
            name: [_row(row) for row in _xml(archive, number).iter(f"{_MAIN}row")]
            for number, name in enumerate(names, start=1)
        }


def formulas(content: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [found.text or "" for found in _xml(archive, 1).iter(f"{_MAIN}f")]


def _xml(archive: zipfile.ZipFile, number: int) -> ElementTree.Element:
    return ElementTree.fromstring(archive.read(f"xl/worksheets/sheet{number}.xml"))  # noqa: S314 - of our own making


def _row(row: ElementTree.Element) -> list[str]:
    cells: dict[int, str] = {}
    for cell in row.iter(f"{_MAIN}c"):
        found = re.match("[A-Z]+", cell.attrib["r"])
        assert found
        column = 0
        for letter in found[0]:
            column = column * 26 + ord(letter) - ord("A") + 1
        cells[column] = "".join(cell.itertext())
    return [cells.get(column, "") for column in range(1, max(cells, default=0) + 1)]
