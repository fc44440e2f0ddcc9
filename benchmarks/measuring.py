"""Timing on a machine that others use too: the sides take turns, and the median of the rounds is the figure."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from statistics import median

from benchmarks.figure import Figure

_CPU_TICK = os.sysconf("SC_CLK_TCK")

Work = Callable[[], int]
"""Does a share of work and returns how many things it did."""

Side = Callable[[], Work]
"""Prepares one round, untimed, and returns the work to be timed."""


class Size(StrEnum):
    """SMALL takes seconds and keeps the benchmark from rotting; FULL is what figures are quoted from."""

    SMALL = "small"
    FULL = "full"


ROUNDS = {Size.SMALL: 5, Size.FULL: 7}


@dataclass(frozen=True)
class Rate:
    """How often something was done, in a second of the clock and in a second of our own CPU time."""

    per_second: float
    per_cpu_second: float


def rates(sides: Mapping[str, Side], *, rounds: int, cpu: Callable[[], float] = time.process_time) -> dict[str, Rate]:
    """Return the median rate of each side over interleaved rounds. `cpu` reads the CPU seconds to divide by."""
    seen: dict[str, list[Rate]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, prepare in sides.items():
            work = prepare()
            cpu_before, started = cpu(), time.perf_counter()
            done = work()
            wall, used = time.perf_counter() - started, cpu() - cpu_before
            # A CPU clock of 10 ms steps may not have moved.
            seen[name].append(Rate(done / wall, done / max(used, 0.01)))
    return {
        name: Rate(median(rate.per_second for rate in found), median(rate.per_cpu_second for rate in found))
        for name, found in seen.items()
    }


def rate_figures(name: str, unit: str, rate: Rate) -> tuple[Figure, Figure]:
    """Return the two figures of a rate: by the clock and by CPU time."""
    return Figure(f"{name}_per_s", rate.per_second, f"{unit}/s"), Figure(
        f"{name}_per_cpu_s", rate.per_cpu_second, f"{unit}/CPU-s"
    )


def repeated(count: int, act: Callable[[], object]) -> Side:
    """Return a side that does the same `count` times."""

    def work() -> int:
        for _ in range(count):
            act()
        return count

    return lambda: work


def cpu_seconds(master: int) -> float:
    """Return what a process and its children, such as a server and its workers, have used."""
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return sum(_cpu_ticks(pid) for pid in [str(master), *children]) / _CPU_TICK


def _cpu_ticks(pid: str) -> int:
    # Fields 14 and 15, user and system time; the name in parentheses may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def percentile(values: list[float], percent: float) -> float:
    """Return the value that `percent` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
