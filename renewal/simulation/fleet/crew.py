"""Processes that work on the parts of a task at once, each with a connection to the database of its own.

One process alone leaves half of two cores idle: it waits while the database works, and the database while it does.
"""

import gc
import multiprocessing
import resource
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import django

P = TypeVar("P")
R = TypeVar("R")
_MEBIBYTE = 1024


def begin() -> None:
    """Set Django up; the collector of cycles leaves alone what stays, and seldom looks at what is made in masses."""
    django.setup()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


class Crew:
    """`size` processes; of one, the work is done in this one."""

    def __init__(self, size: int) -> None:
        self.size = size
        # Not forked: a child must not share the connection to the database.
        apart = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(size, apart, begin) if size > 1 else None
        if self._pool:
            # They come to life while this one makes what they will work on.
            for _person in range(size):
                self._pool.submit(int)

    def each(self, work: Callable[[P], R], parts: Sequence[P]) -> list[R]:
        """Return what `work`, a function of a module, makes of each part, in their order."""
        if self._pool is None or len(parts) == 1:
            return [work(part) for part in parts]
        return list(self._pool.map(work, parts))

    def end(self) -> None:
        if self._pool:
            self._pool.shutdown()

    def peak_memory_mib(self) -> float:
        """Return the most that this process and, once they have ended, the others had in memory together, at most."""
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss if self._pool else 0
        return float(own + self.size * largest) / _MEBIBYTE


@contextmanager
def working(size: int) -> Iterator[Crew]:
    """Have a crew until the block ends."""
    crew = Crew(size)
    try:
        yield crew
    finally:
        crew.end()
