"""What a protocol says to everybody alike: which fleets there are, and the authorities that their devices trust.

Anybody may ask for it, as often as he likes, so it is answered from the memory of the process. It is read again when it
is older than STALE_AFTER, and for a label that is not in it when it is older than STALE_FOR_UNKNOWN: so whatever is
asked, the database is asked at most once a second by each process, and a change is seen within STALE_AFTER.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding

from inventory.models import Authority, Fleet
from inventory.x509.keys import KeyType

STALE_AFTER = timedelta(seconds=10)
STALE_FOR_UNKNOWN = timedelta(seconds=1)


class Served(NamedTuple):
    """A fleet by its label, its authorities and the keys that its devices may have.

    The authority that signs for it comes first, then those above it to the root; of key types, the preferred one.
    """

    label: str
    chain: list[Authority]
    key_types: list[KeyType]

    def certificates(self) -> list[bytes]:
        """Return the certificates of the authorities in DER."""
        return [authority.x509.public_bytes(Encoding.DER) for authority in self.chain]


class Directory:
    """The fleets by their labels, as this process knows them."""

    def __init__(self) -> None:
        self._read_at: datetime | None = None
        self._fleets: dict[str, Served] = {}

    def forget(self) -> None:
        """Drop everything from memory, as in a new process."""
        self._read_at = None

    def find(self, label: str | None, now: datetime) -> Served | None:
        """Return the fleet called `label`; without a label the only fleet, when there is just one."""
        self._read_if_older(STALE_AFTER, now)
        found = self._known(label)
        if found is None:
            self._read_if_older(STALE_FOR_UNKNOWN, now)
            found = self._known(label)
        return found

    def _known(self, label: str | None) -> Served | None:
        if label is None:
            return next(iter(self._fleets.values())) if len(self._fleets) == 1 else None
        return self._fleets.get(label)

    def _read_if_older(self, age: timedelta, now: datetime) -> None:
        # A clock that was set back makes it old too. No lock: two reads at once cost two queries more.
        if self._read_at is not None and self._read_at <= now < self._read_at + age:
            return
        self._fleets = _read()
        self._read_at = now


def _read() -> dict[str, Served]:
    own = Authority.objects.own().filter(certificate__isnull=False).select_related("certificate")
    authorities = {authority.pk: authority for authority in own}
    chains = {pk: _chain(authority, authorities) for pk, authority in authorities.items()}
    fleets = Fleet.objects.order_by("slug").values_list("slug", "authority_id", "profile__key_types")
    return {
        slug: Served(slug, chains[authority_id], [KeyType(each) for each in key_types])
        for slug, authority_id, key_types in fleets
        if authority_id in chains
    }


def _chain(authority: Authority, authorities: dict[int, Authority]) -> list[Authority]:
    """Return `authority` and those above it: what an authority of ours was signed by is ours too."""
    chain = [authority]
    while chain[-1].parent_id is not None:
        chain.append(authorities[chain[-1].parent_id])
    return chain


# Of this process: what it says without asking the database.
directory = Directory()
