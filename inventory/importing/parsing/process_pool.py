"""Processes that parse blocks while this one writes to the database; results come in the order of the blocks.

Each process has a pipe of its own and at most one block at a time, so neither side can wait for the other for ever.
A thread reads the source and hands blocks out while the database works. When this process is killed its pipes close,
and the others end by themselves.
"""

import gc
import multiprocessing
import signal
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import TypeVar

from inventory.importing.parsing.parser import Parser, Staged
from inventory.importing.parsing.records import Block, Layout
from inventory.importing.parsing.rows import Rules

T = TypeVar("T")
_SECONDS_TO_END = 10


class ParserDied(RuntimeError):
    """A parsing process ended in the middle of a block; the text says which one."""


class Pool:
    """Parses with `count` processes; with none, in this one."""

    def __init__(self, count: int, layout: Layout, rules: Rules, own: frozenset[bytes]) -> None:
        self.parser = Parser(layout, rules, own)
        self._processes: list[tuple[BaseProcess, Connection]] = []
        # Not forked: a child must not share the connection to the database.
        context = multiprocessing.get_context("spawn")
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, layout, rules, own), daemon=True)
            process.start()
            theirs.close()
            self._processes.append((process, ours))

    def __enter__(self) -> "Pool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _process, pipe in self._processes:
            pipe.close()
        for process, _pipe in self._processes:
            process.join(_SECONDS_TO_END)
            if process.is_alive():
                process.kill()
                process.join()

    def parsed(self, items: Iterable[tuple[Block, T]]) -> "Generator[tuple[Block, T, Staged]]":
        """Return each block with its companion and what it comes to. Raises ParserDied.

        To be closed before the pool is left.
        """
        if self._processes:
            return ahead(self._by_processes(items))
        return ((block, companion, self.parser.parse(block)) for block, companion in items)

    def _by_processes(self, items: Iterable[tuple[Block, T]]) -> Iterator[tuple[Block, T, Staged]]:
        waiting: deque[tuple[Connection, Block, T]] = deque()
        source = iter(items)
        for _process, pipe in self._processes:
            self._send_next(pipe, source, waiting)
        while waiting:
            pipe, block, companion = waiting.popleft()
            try:
                staged = pipe.recv()
            except EOFError:
                raise ParserDied(f"A parsing process ended at the block of line {block.first_line}.") from None
            self._send_next(pipe, source, waiting)
            yield block, companion, staged

    def _send_next(
        self, pipe: Connection, source: Iterator[tuple[Block, T]], waiting: "deque[tuple[Connection, Block, T]]"
    ) -> None:
        item = next(source, None)
        if item is not None:
            pipe.send(item[0])
            waiting.append((pipe, *item))


def ahead(items: Iterator[T]) -> Generator[T]:
    """Return the items, each got by another thread while the one before it is used. What it raises is raised here."""
    # Each in a tuple, so that its end is told from an item.
    wrapped = ((item,) for item in items)
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, wrapped, None)
        while (found := following.result()) is not None:
            following = thread.submit(next, wrapped, None)
            yield found[0]


def _serve(pipe: Connection, layout: Layout, rules: Rules, own: frozenset[bytes]) -> None:
    # Ctrl-C is for the process that writes: it ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parser = Parser(layout, rules, own)
    # A row leaves no cycles behind: they are looked for after each block, among what came since.
    gc.disable()
    gc.freeze()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            pipe.send(parser.parse(pipe.recv()))
            gc.collect()
