"""A factory line: certificates for thousands of devices in one request to the API, beside the door alone.

Both verify each request's proof of possession. The line also reads JSON and PEM, asks the gate under its locks, and
sends the certificates back; all but the socket is in the figure.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks import portal
from benchmarks.figure import Figure
from benchmarks.measuring import ROUNDS, Rate, Side, Size, Work, rate_figures, rates
from inventory.issuing.certificates import issue_many

_ROWS = {Size.SMALL: 400, Size.FULL: 10_000}
_BATCH = 1000
_FLOOR = 0.5


def run(size: Size) -> list[Figure]:
    with portal.running():
        portal.refuse_forgetful_database()
        ask = portal.service_account()
        measured = rates({"door": _door(_ROWS[size]), "line": _line(_ROWS[size], ask)}, rounds=ROUNDS[size])
    return _figures(measured)


def _door(count: int) -> Side:
    """Issue from request to row by the thousand."""

    def prepare() -> Work:
        waiting = portal.waiting(count)

        def work() -> int:
            for start in range(0, count, _BATCH):
                issue_many([admission() for admission in waiting[start : start + _BATCH]], datetime.now(UTC))
            return count

        return work

    return prepare


def _line(count: int, ask: portal.Ask) -> Side:
    """Ask for certificates of new devices, each for a key of its own, in one request."""

    def prepare() -> Work:
        body = json.dumps(_rows(count))
        # Of a database that was empty a minute ago, PostgreSQL would else know nothing.
        portal.analyze()

        def work() -> int:
            answer = ask("/api/v1/enrolments/", body)
            assert answer["counts"] == {"issued": count, "known": 0, "refused": 0}, answer["counts"]
            return count

        return work

    return prepare


def _rows(count: int) -> Sequence[dict[str, str]]:
    return [
        {
            "fleet": portal.FLEET,
            "device": device.serial,
            "csr": portal.request_pem(ec.generate_private_key(ec.SECP256R1())),
        }
        for device in portal.devices(count)
    ]


def _figures(measured: dict[str, Rate]) -> list[Figure]:
    door, door_cpu = rate_figures("line.door", "certificates", measured["door"])
    line, line_cpu = rate_figures("line", "certificates", measured["line"])
    return [door, door_cpu, line.beside(door).asked(floor=_FLOOR), line_cpu.beside(door_cpu)]
