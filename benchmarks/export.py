"""P13: 100,000 certificates over the API, beside the same rows through the serializers and the figures of django-ca."""

import resource
import time
from collections.abc import Callable
from statistics import median

from django.test import Client
from django.utils import timezone

from benchmarks import fleet
from benchmarks.figure import Figure
from benchmarks.measuring import Size
from certportal.api.tokens import create_token
from certportal.models import User
from inventory.audit.record import SYSTEM
from inventory.models import Certificate

_ROWS = {Size.SMALL: 5_000, Size.FULL: 100_000}
ROUNDS = {Size.SMALL: 2, Size.FULL: 3}
# Measured once on the same kind of machine: its list view has no pages.
_DJANGO_CA_SECONDS_PER_100_000 = 340


def run(size: Size) -> list[Figure]:
    with fleet.running(fleet.DEVICES[size]):
        user, _ = User.objects.get_or_create(username="bench", defaults={"is_superuser": True, "is_staff": True})
        user.auth_token_set.all().delete()
        secret = create_token(user, name="bench", scopes=(), lifetime=None, now=timezone.now(), actor=SYSTEM)[1]
        client = Client(headers={"host": "localhost", "Authorization": f"Bearer {secret}"})
        rows = _ROWS[size]
        ends = Certificate.objects.order_by("not_after", "id")[rows].not_after
        query = f"not_after_before={ends:%Y-%m-%dT%H:%M:%SZ}"
        sides: dict[str, Callable[[], int]] = {
            "ndjson": lambda: _stream(client, f"/api/v1/certificates/export.ndjson/?{query}"),
            "csv": lambda: _stream(client, f"/api/v1/certificates/export.csv/?{query}"),
            "pages": lambda: _pages(client, f"/api/v1/certificates/?limit=1000&ordering=not_after&{query}"),
        }
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        growth = 0.0
        for number in range(ROUNDS[size]):
            for name, act in sides.items():
                before = _peak()
                started = time.perf_counter()
                done = act()
                seconds[name].append((time.perf_counter() - started) * 100_000 / done)
                if name == "ndjson" and number == 0:
                    growth = _peak() - before
        peer = Figure("django-ca REST list", _DJANGO_CA_SECONDS_PER_100_000, "s/100,000")
        pages = Figure("export.serializer_pages_s", median(seconds["pages"]), "s/100,000")
        ndjson, csv = (Figure("", median(seconds[name]), "s/100,000") for name in ("ndjson", "csv"))
        faster = peer.value / ndjson.value
        figures = [
            Figure("P13", faster, "x", f"{peer.name} ({peer.value} s, another run)", faster),
            ndjson.beside(pages, "export.ndjson_s"),
            csv.beside(pages, "export.csv_s"),
            pages,
            Figure("export.memory_growth_mib", growth, "MiB"),
        ]
        if size == Size.FULL:
            before, started = _peak(), time.perf_counter()
            done = _stream(client, "/api/v1/certificates/export.ndjson/")
            whole = time.perf_counter() - started
            figures.append(Figure("export.all_certificates_s", whole, f"s for {done:,}"))
            figures.append(Figure("export.all_memory_growth_mib", _peak() - before, "MiB"))
        return figures


def _stream(client: Client, address: str) -> int:
    answer = client.get(address)
    assert answer.status_code == 200, answer.content
    return sum(block.count(b"\n") for block in answer.streaming_content)


def _pages(client: Client, address: str | None, most: int = 10_000) -> int:
    """Read pages, as many as show what one costs."""
    count = 0
    while address and count < most:
        page = client.get(address).json()
        count += len(page["results"])
        address = page["next"]
    return count


def _peak() -> float:
    """Return the most memory that this process ever held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
