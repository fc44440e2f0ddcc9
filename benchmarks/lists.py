"""Every list, filter and search that people and programs have, timed in the server at 6.6 million certificates.

A request is answered by the portal's own WSGI application in this process: what is timed is everything but the socket.
The yardstick is the same list read by OFFSET, as a stock admin does.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from django.db import connection
from django.test import Client
from django.utils import timezone

from benchmarks import fleet, navigation, portal
from benchmarks.figure import Figure
from benchmarks.filter_choices import CERTIFICATES, DEVICES, Ask, choices
from benchmarks.measuring import Size, percentile
from certportal.api.tokens import create_token
from certportal.dashboard.views import BLOCKS
from certportal.models import User
from inventory.audit.record import SYSTEM
from inventory.lists.cursors import Cursor
from inventory.models import Batch, Certificate, Device, Fleet, Site

ROUNDS = {Size.SMALL: 2, Size.FULL: 3}
LIMIT_MS = 200
_OTHERS = (
    "/admin/inventory/auditevent/", "/admin/renewal/target/", "/admin/inventory/expireddevice/",
    "/admin/inventory/revokeddevice/",
)  # fmt: skip
_DASHBOARD = ("/admin/", "/admin/?rows=batch&span=3650", *(f"/admin/dashboard/{name}/" for name in BLOCKS))


def run(size: Size) -> list[Figure]:
    with fleet.running(fleet.DEVICES[size]):
        admin, bearer = portal.browser(), f"Bearer {_token(portal.person())}"

        def api(address: str) -> bytes:
            answer = Client().get(address, headers={"host": "localhost", "Authorization": bearer})
            assert answer.status_code == 200, (address, answer.content[:200])
            return answer.content

        groups: dict[str, dict[str, Callable[[], object]]] = {
            "filters": {address: _asking(admin, address) for address in _choices(admin)},
            "search": {address: _asking(admin, address) for address in _searches()},
            "device_page": {f"{DEVICES}{pk}/change/": _asking(admin, f"{DEVICES}{pk}/change/") for pk in _devices()},
            "dashboard": {address: _asking(admin, address) for address in _DASHBOARD},
            "api_page": {address: _asking(api, address) for address in _api_addresses()},
        }
        return [
            *_figures(groups, ROUNDS[size]),
            *_depth(admin, ROUNDS[size]),
            *navigation.figures(admin, ROUNDS[size]),
        ]


def _asking(ask: Callable[[str], bytes], address: str) -> Callable[[], object]:
    return lambda: ask(address)


def _token(user: User) -> str:
    user.auth_token_set.all().delete()
    return create_token(user, name="bench", scopes=(), lifetime=None, now=timezone.now(), actor=SYSTEM)[1]


def _choices(ask: Ask) -> list[str]:
    """Return each list, and each choice of each of its filters as the list itself offers it: at most ten a filter."""
    found = []
    for address in (DEVICES, CERTIFICATES, *_OTHERS):
        found.append(address)
        for offered in choices(ask, address).values():
            found += [address + query for query in offered[:10]]
    return list(dict.fromkeys(found))


def _searches() -> list[str]:
    device = Device.objects.exclude(mqtt_id="").exclude(phone_number="").latest("id")
    certificate = Certificate.objects.filter(device=device).latest("id")
    site, batch = Site.objects.latest("id"), Batch.objects.get(name=fleet.SPIKE)
    decimal = str(int(certificate.serial, 16))
    terms = [
        device.serial, device.serial[:-2], device.mqtt_id, device.phone_number.replace("+", "%2B"), batch.name,
        site.name.replace(" ", "+"), certificate.serial, certificate.serial[:12], decimal,
        bytes(certificate.sha256).hex(":"), "nothing-has-this-name",
    ]  # fmt: skip
    return [f"{address}?q={term}" for address in (DEVICES, CERTIFICATES) for term in terms]


def _devices() -> list[int]:
    last = Device.objects.latest("id").pk
    return [1 + last * part // 20 for part in range(20)]


def _api_addresses() -> list[str]:
    batch, site = Batch.objects.get(name=fleet.SPIKE).name, Site.objects.latest("id").name.replace(" ", "+")
    slug = Fleet.objects.order_by("slug").values_list("slug", flat=True)[0]
    soon = datetime.now(UTC).strftime("%Y-%m-%d")
    common = [f"fleet={slug}", f"batch={batch}", f"site={site}", "connectivity=always_on", "search=MTR-000001"]
    devices = [
        *common,
        "status=retired",
        "never_seen=true",
        "never_certified=true",
        f"last_seen_before={soon}",
        "ordering=serial",
    ]
    certificates = [
        *common, "status=revoked", "status=expired", "status=unconfirmed", "status=superseded&ordering=-not_after",
        "key_type=rsa-2048&ordering=not_after", "purpose=authority", f"not_after_after={soon}&ordering=not_after",
        f"issued_after={soon}", "ordering=not_after", "profile=bench-sensors",
    ]  # fmt: skip
    events = ["action=certificate:revocation:done", "actor=admin", f"at_after={soon}", "ordering=at"]
    return [
        *(f"/api/v1/devices/?{query}" for query in ["limit=100", *devices]),
        *(f"/api/v1/certificates/?{query}" for query in ["limit=100", *certificates]),
        *(f"/api/v1/audit-events/?{query}" for query in ["limit=100", *events]),
    ]


def _figures(groups: Mapping[str, Mapping[str, Callable[[], object]]], rounds: int) -> list[Figure]:
    """Return the 95th percentile of each group over all rounds, and name what is slower than the limit."""
    figures, everything = [], []
    for group, asks in groups.items():
        seen: dict[str, list[float]] = {address: [] for address in asks}
        for _ in range(rounds):
            for address, ask in asks.items():
                started = time.perf_counter()
                ask()
                seen[address].append((time.perf_counter() - started) * 1000)
        worst = sorted(((percentile(times, 50), address) for address, times in seen.items()), reverse=True)
        for milliseconds, address in worst[:8]:
            if milliseconds > LIMIT_MS:
                print(f"  slow: {milliseconds:,.0f} ms {address}", flush=True)
        times = [each for address in asks for each in seen[address]]
        everything += times
        figures.append(Figure(f"lists.{group}.p95_ms", percentile(times, 95), "ms"))
        figures.append(Figure(f"lists.{group}.worst_median_ms", worst[0][0], "ms"))
    return [Figure("lists.p95_ms", percentile(everything, 95), "ms"), *figures]


def _depth(ask: Callable[[str], bytes], rounds: int) -> list[Figure]:
    """P12: the last page beside the first, by position and by OFFSET."""
    last = Certificate.objects.order_by("-not_after", "-id").first()
    assert last is not None
    behind = Cursor("inventory.certificate", "not_after", True, "9999-12-31T23:59:59+00:00", 1).encode()
    sides = {
        "first": lambda: ask(CERTIFICATES),
        "last": lambda: ask(f"{CERTIFICATES}?cursor={behind}"),
        "offset": _by_offset,
    }
    seen: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(max(rounds, 5)):
        for name, act in sides.items():
            started = time.perf_counter()
            act()
            seen[name].append((time.perf_counter() - started) * 1000)
    first, deep, offset = (Figure(f"lists.{name}_page_ms", percentile(seen[name], 50), "ms") for name in sides)
    return [first, deep.beside(first, "P12"), offset.beside(deep, "lists.offset_page_ms")]


def _by_offset() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE relname = 'inventory_certificate'")
        (count,) = cursor.fetchone()
    list(Certificate.objects.defer("der").order_by("not_after", "id")[max(0, count - 50) : count])
