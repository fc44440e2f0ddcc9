"""The addresses that the processes of one machine listen on, checked before anything starts."""

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from certportal.launch import CannotStart

_SECONDS_BETWEEN_TRIES = 0.25


class AddressRefused(CannotStart):
    """An address cannot be listened on; the text names the variable to change."""


@dataclass(frozen=True)
class Address:
    """A `host:port` that the environment variable `variable` sets."""

    variable: str
    value: str

    def host_and_port(self) -> tuple[str, int]:
        """Return the parts; raise `AddressRefused` when the value is no `host:port`."""
        host, colon, port = self.value.rpartition(":")
        if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise AddressRefused(f"{self.variable} is {self.value!r}; it must read HOST:PORT, as 127.0.0.1:8000.")
        return host.strip("[]"), int(port)


def refuse_busy(addresses: Sequence[Address], *, patience: float, clock: Callable[[], float]) -> None:
    """Raise `AddressRefused` for an address that cannot be listened on, after `patience` seconds at most.

    Patience is for what an earlier supervisor, killed without a chance to stop its children, leaves for a moment.
    """
    give_up_at = clock() + patience
    for address in addresses:
        while problem := _problem_with(address):
            if clock() >= give_up_at:
                raise AddressRefused(
                    f"Cannot listen on {address.value}: {problem}. "
                    f"Stop the program that uses it, or set {address.variable} to another address."
                )
            time.sleep(_SECONDS_BETWEEN_TRIES)


def next_free(address: Address, *, most: int = 100) -> Address | None:
    """Return the first of the `most` ports after that of `address` on its host that nobody listens on, if any."""
    host, port = address.host_and_port()
    shown = f"[{host}]" if ":" in host else host
    nearby = (Address(address.variable, f"{shown}:{port + step}") for step in range(1, most + 1) if port + step < 65536)
    return next((each for each in nearby if not _problem_with(each)), None)


def _problem_with(address: Address) -> str:
    host, port = address.host_and_port()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As the servers do: connections of the last run that still wind down are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as problem:
            return problem.strerror or str(problem)
    return ""
