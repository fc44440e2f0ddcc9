"""What first uses of certificates change. Pure: the certificates come locked, the changes go into one UPDATE."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from inventory import pg_arrays
from inventory.models import CertificateState


@dataclass(frozen=True, slots=True)
class Use:
    """A certificate that was used, and was not yet known to have been."""

    device_id: int
    certificate_id: int
    issued_at: datetime
    at: datetime

    @property
    def age(self) -> tuple[datetime, int]:
        """What older certificates have less of. Not the key alone: what was imported is older than its row."""
        return self.issued_at, self.certificate_id


class Live(NamedTuple):
    """A certificate of a device that is issued or confirmed, locked."""

    issued_at: datetime
    id: int
    state: str


class Confirmations:
    """When each certificate was confirmed, which others it superseded, and how many."""

    def __init__(self) -> None:
        self.at: dict[int, datetime] = {}
        self.superseded: dict[int, int] = {}
        self._successors: dict[int, int] = {}

    def add(self, uses: Iterable[Use], live: Iterable[Live]) -> None:
        """Add the uses of one device, from the oldest, given its live certificates.

        A certificate whose successor was used before it stays unused: by then it is superseded.
        """
        left = {each.id: each for each in live}
        unused = {each.id for each in left.values() if each.state == CertificateState.ISSUED}
        for use in sorted(uses, key=lambda use: (use.at, use.age)):
            if use.certificate_id not in left or use.certificate_id not in unused:
                continue
            unused.remove(use.certificate_id)
            older = [each.id for each in left.values() if (each.issued_at, each.id) < use.age]
            for pk in older:
                del left[pk]
                self._successors[pk] = use.certificate_id
            self.at[use.certificate_id] = use.at
            self.superseded[use.certificate_id] = len(older)

    def changes(self) -> tuple[str, str, str]:
        """Return the certificates that change, and of each when it was confirmed and its successor, as columns."""
        keys = sorted(self.at | self._successors)
        return (
            pg_arrays.integers(keys),
            pg_arrays.moments(map(self.at.get, keys)),
            pg_arrays.integers(map(self._successors.get, keys)),
        )

    def confirmed(self) -> tuple[str, str, str]:
        """Return the confirmed certificates, and of each when and how many others it superseded, as columns."""
        return (
            pg_arrays.integers(self.at),
            pg_arrays.moments(self.at.values()),
            pg_arrays.integers(self.superseded.values()),
        )
