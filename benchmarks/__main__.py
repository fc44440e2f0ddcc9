"""`python -m benchmarks`: run benchmarks, print their tables and keep their figures."""

import argparse
import importlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from benchmarks.figure import keep, table
from benchmarks.measuring import Size

NAMES = (
    *("issue", "est", "line", "crl", "imports", "sightings", "alerts", "lists", "export", "truth", "expiry_map"),
    "campaign",
)
# These ask a fleet that takes minutes to make: its home is kept.
_OF_THE_FLEET = frozenset({"lists", "export", "truth"})
_CHECKOUT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the portal beside a yardstick of the same run. Example: "
        "python -m benchmarks --name issue --size small",
    )
    parser.add_argument("--name", choices=NAMES, help="one benchmark; without it all run")
    parser.add_argument("--size", type=Size, choices=list(Size), default=Size.FULL)
    chosen = parser.parse_args()
    if chosen.name is None:
        # One process each: the settings of a process are those of one home.
        for name in NAMES:
            command = [sys.executable, "-m", "benchmarks", "--name", name, "--size", chosen.size]
            subprocess.run(command, cwd=_CHECKOUT, check=True)
        return
    _set_environment(chosen.name, chosen.size)
    import django

    django.setup()
    print(f"== {chosen.name} ({chosen.size}) ==", flush=True)
    figures = importlib.import_module(f"benchmarks.{chosen.name}").run(chosen.size)
    print(table(figures))
    print(f"kept in {keep(chosen.name, figures).relative_to(_CHECKOUT)}\n", flush=True)


def _set_environment(name: str, size: Size) -> None:
    """Give the run a home and stores of its own: it fills them by the thousand."""
    bench = Path(os.environ.get("CERTPORTAL_HOME", _CHECKOUT / "var")).absolute() / "bench"
    for store in ("DATABASE_URL", "REDIS_URL", "MQTT_URL"):
        os.environ.pop(store, None)
    home = bench / (f"fleet-{size}" if name in _OF_THE_FLEET else "live")
    if name not in _OF_THE_FLEET:
        shutil.rmtree(home, ignore_errors=True)
    ports = _free_ports(3)
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "certportal.settings",
        "CERTPORTAL_HOME": str(home),
        "CERTPORTAL_DEMO_DEVICES": "0",
        "CERTPORTAL_LOG_LEVEL": "WARNING",
        "CERTPORTAL_API_REQUESTS_PER_MINUTE": "1000000",
        "CERTPORTAL_ADMIN_PASSWORD": secrets.token_urlsafe(),
        "CERTPORTAL_PORTAL_BIND": f"127.0.0.1:{ports[0]}",
        "CERTPORTAL_DEVICE_BIND": f"127.0.0.1:{ports[1]}",
        "CERTPORTAL_STATUS_BIND": f"127.0.0.1:{ports[2]}",
    }
    # These follow the addresses above.
    for address in ("CERTPORTAL_PUBLIC_DEVICE_URL", "CERTPORTAL_PUBLIC_STATUS_URL"):
        os.environ.pop(address, None)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


if __name__ == "__main__":
    main()
