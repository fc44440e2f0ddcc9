"""Each page that links lead to over the large fleet, beside the same page over 2,000 devices in the same run.

The small fleet is asked by a process of its own, for settings are those of one home; rounds of the two take turns.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from statistics import median

from django.conf import settings

from benchmarks.figure import Figure
from benchmarks.filter_choices import Ask

_CHECKOUT = Path(__file__).resolve().parent.parent
_MOST_TIMES_SLOWER = 2.5
_MOST_BYTES = 200_000
_START = "/admin/"
# What is sent rather than shown, what ends something, and pages of others.
_NOT_PAGES = re.compile(
    r"/export/|/pem/|/file/|/logout/|/delete/|/static/|/jsi18n/|/saved-filters/|/rejects/|/report|/images/|/download"
    r"|/ends/|/history/|/stats\.json/|/api/|/handbook/.|/django_rq/|\.(crl|pdf|csv|xlsx|geojson)$"
)


def figures(ask: Ask, rounds: int) -> list[Figure]:
    """Return how much slower and how large pages are, and name those beyond the limits. `ask` asks the large fleet."""
    pages = dict(walk(ask))
    sizes = {kind: len(ask(address)) for kind, address in pages.items()}
    large: dict[str, list[float]] = defaultdict(list)
    small: dict[str, list[float]] = defaultdict(list)
    with _small_fleet() as beside:
        for _ in range(rounds):
            for kind, milliseconds in timed(ask, pages).items():
                large[kind].append(milliseconds)
            for kind, milliseconds in json.loads(beside("")).items():
                small[kind].append(milliseconds)
    slower = {kind: median(large[kind]) / median(small[kind]) for kind in large.keys() & small.keys()}
    for kind, times in sorted(slower.items(), key=lambda each: -each[1]):
        if times > _MOST_TIMES_SLOWER:
            print(f"  {times:.1f} times slower: {median(large[kind]):,.0f} ms {pages[kind]}", flush=True)
    for kind, octets in sizes.items():
        if octets > _MOST_BYTES:
            print(f"  {octets:,} bytes: {pages[kind]}", flush=True)
    return [
        Figure("lists.pages", len(slower), "pages"),
        Figure("lists.pages.median_times_slower", median(slower.values()), "times"),
        Figure("lists.pages.worst_times_slower", max(slower.values()), "times", f"limit {_MOST_TIMES_SLOWER}"),
        Figure("lists.pages.largest", max(sizes.values()), "bytes", f"limit {_MOST_BYTES:,}"),
    ]


def walk(ask: Ask) -> Iterator[tuple[str, str]]:
    """Yield one address of each kind of page that links lead to, by its kind: the address without keys and query."""
    waiting, known = [_START, "/field/"], set()
    while waiting:
        address = waiting.pop(0)
        kind = re.sub(r"\d+", "N", address.partition("?")[0])
        if kind in known:
            continue
        known.add(kind)
        yield kind, address
        links = re.findall(r'href="(/(?:admin|field)/[^"#]*)', ask(address).decode())
        waiting += [unescape(link) for link in links if not _NOT_PAGES.search(link.partition("?")[0])]


def timed(ask: Ask, pages: Mapping[str, str]) -> dict[str, float]:
    """Return the milliseconds that each page takes now, by its kind."""
    found = {}
    for kind, address in pages.items():
        started = time.perf_counter()
        ask(address)
        found[kind] = (time.perf_counter() - started) * 1000
    return found


@contextmanager
def _small_fleet() -> Iterator[Ask]:
    """Run the other process; yields what makes it time its pages once, and returns them as JSON."""
    home = settings.HOME.with_name("fleet-of-a-newcomer")
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.navigation"],
        cwd=_CHECKOUT,
        env=os.environ | {"CERTPORTAL_HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    requests, answers = process.stdin, process.stdout
    assert requests
    assert answers

    def again(_address: str) -> bytes:
        requests.write("\n")
        requests.flush()
        # What it says while it plants its fleet comes before.
        line = next((line for line in answers if line.startswith("{")), None)
        assert line, "the portal of the small fleet ended"
        return line.encode()

    try:
        again("")
        yield again
    finally:
        requests.close()
        process.wait()


def main() -> None:
    """Time the pages of the small fleet, once for each line that comes in."""
    import django

    django.setup()
    from benchmarks import fleet, portal

    with fleet.running(fleet.OF_A_NEWCOMER):
        ask = portal.browser()
        pages = dict(walk(ask))
        for _line in sys.stdin:
            print(json.dumps(timed(ask, pages)), flush=True)


if __name__ == "__main__":
    main()
