"""What first uses of certificates change. Pure: the certificates come locked, the changes go into one UPDATE."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from inventory.models import CertificateState


@dataclass(frozen=True, slots=True)
class Use:
    """A certificate that was used, and was not yet known to have been."""

    device_id: int
    certificate_id: int
    at: datetime


class Confirmations:
    """When each certificate was confirmed, which others it superseded, and how many."""

    def __init__(self) -> None:
        self.at: dict[int, datetime] = {}
        self.superseded: dict[int, int] = {}
        self._successors: dict[int, int] = {}

    def add(self, uses: Iterable[Use], live: Iterable[tuple[int, str]]) -> None:
        """Add the uses of one device, from the oldest, given its live certificates (key and state).

        A certificate whose successor was used before it stays unused: by then it is superseded.
        """
        left = dict(live)
        for use in sorted(uses, key=lambda use: (use.at, use.certificate_id)):
            if left.get(use.certificate_id) != CertificateState.ISSUED:
                continue
            left[use.certificate_id] = CertificateState.CONFIRMED
            older = [pk for pk in left if pk < use.certificate_id]
            for pk in older:
                del left[pk]
                self._successors[pk] = use.certificate_id
            self.at[use.certificate_id] = use.at
            self.superseded[use.certificate_id] = len(older)

    def changes(self) -> tuple[list[int], list[str], list[datetime | None], list[int | None]]:
        """Return the certificates that change, and of each its state, when it was confirmed and its successor."""
        keys = list(self.at | self._successors)
        return (
            keys,
            [CertificateState.SUPERSEDED if pk in self._successors else CertificateState.CONFIRMED for pk in keys],
            [self.at.get(pk) for pk in keys],
            [self._successors.get(pk) for pk in keys],
        )

    def columns(self) -> tuple[list[int], list[datetime], list[int]]:
        """Return the confirmed certificates, and of each when and how many others it superseded."""
        return list(self.at), list(self.at.values()), [self.superseded[pk] for pk in self.at]
