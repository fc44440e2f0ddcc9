"""What a benchmark finds: figures, the table that shows them and the file that keeps them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

_RESULTS = Path(__file__).parent / "results"
_COLUMNS = ("name", "value", "unit", "ratio", "floor", "aim", "compared to")


@dataclass(frozen=True)
class Figure:
    """One measured number. `ratio` is the value divided by that of `compared_to`, None where there is no yardstick.

    `floor` is the ratio that a release must reach, `aim` the one that we want.
    """

    name: str
    value: float
    unit: str
    compared_to: str = ""
    ratio: float | None = None
    floor: float | None = None
    aim: float | None = None

    def beside(self, yardstick: "Figure", name: str = "") -> "Figure":
        """Return this figure as compared with another of the same run, under a name of its own if it has one yet."""
        compared = f"{yardstick.name} ({_number(yardstick.value)} {yardstick.unit})"
        return Figure(name or self.name, self.value, self.unit, compared, self.value / yardstick.value)

    def asked(self, *, floor: float, aim: float | None = None) -> "Figure":
        """Return this figure with what its ratio ought to be."""
        return replace(self, floor=floor, aim=aim)


def table(figures: Sequence[Figure]) -> str:
    """Return the figures in columns."""
    cells = [_COLUMNS, *(_cells(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def _cells(figure: Figure) -> tuple[str, ...]:
    ratios = ("" if ratio is None else f"{ratio:,.3g}" for ratio in (figure.ratio, figure.floor, figure.aim))
    return (figure.name, _number(figure.value), figure.unit, *ratios, figure.compared_to)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.4g}"


def keep(name: str, figures: Sequence[Figure]) -> Path:
    """Write the figures of benchmark `name` where the last run's were, and return the file."""
    path = _RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    draft = path.with_suffix(".json.tmp")
    draft.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")
    draft.replace(path)
    return path
