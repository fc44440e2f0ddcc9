"""What EST says to everybody alike: which fleets there are, and the certificates that their devices need to trust.

Anybody may ask for it, as often as he likes, so it is answered from the memory of the process. It is read again when it
is older than STALE_AFTER, and for a label that is not in it when it is older than STALE_FOR_UNKNOWN: so whatever is
asked, the database is asked at most once a second by each process, and a change is seen within STALE_AFTER.
"""

from datetime import datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding

from inventory.models import Authority, Fleet
from renewal.protocols.est_messages import certs_only

STALE_AFTER = timedelta(seconds=10)
STALE_FOR_UNKNOWN = timedelta(seconds=1)


class Anchors:
    """The certificates from a fleet's authority up to its root, and the answer that carries them."""

    def __init__(self, chain: list[Authority]) -> None:
        self._chain = chain
        self._bodies: dict[bool, bytes] = {}

    def body(self, *, one_line: bool) -> bytes:
        """Return the certs-only message, encoded when it is first asked for."""
        known = self._bodies.get(one_line)
        if known is None:
            certificates = [authority.x509.public_bytes(Encoding.DER) for authority in self._chain]
            known = self._bodies[one_line] = certs_only(certificates, one_line=one_line)
        return known


class Directory:
    """The fleets by their labels, as this process knows them."""

    def __init__(self) -> None:
        self._read_at: datetime | None = None
        self._fleets: dict[str, Anchors] = {}

    def forget(self) -> None:
        """Drop everything from memory, as in a new process."""
        self._read_at = None

    def find(self, label: str | None, now: datetime) -> tuple[str, Anchors] | None:
        """Return the fleet called `label` and its anchors; without a label the only fleet, when there is just one."""
        self._read_if_older(STALE_AFTER, now)
        found = self._known(label)
        if found is None:
            self._read_if_older(STALE_FOR_UNKNOWN, now)
            found = self._known(label)
        return found

    def _known(self, label: str | None) -> tuple[str, Anchors] | None:
        if label is None:
            return next(iter(self._fleets.items())) if len(self._fleets) == 1 else None
        anchors = self._fleets.get(label)
        return (label, anchors) if anchors else None

    def _read_if_older(self, age: timedelta, now: datetime) -> None:
        # A clock that was set back makes it old too. No lock: two reads at once cost two queries more.
        if self._read_at is not None and self._read_at <= now < self._read_at + age:
            return
        self._fleets = _read()
        self._read_at = now


def _read() -> dict[str, Anchors]:
    own = Authority.objects.own().filter(certificate__isnull=False).select_related("certificate")
    authorities = {authority.pk: authority for authority in own}
    anchors = {pk: Anchors(_chain(authority, authorities)) for pk, authority in authorities.items()}
    fleets = Fleet.objects.order_by("slug").values_list("slug", "authority_id")
    return {slug: anchors[authority_id] for slug, authority_id in fleets if authority_id in anchors}


def _chain(authority: Authority, authorities: dict[int, Authority]) -> list[Authority]:
    """Return `authority` and those above it: what an authority of ours was signed by is ours too."""
    chain = [authority]
    while chain[-1].parent_id is not None:
        chain.append(authorities[chain[-1].parent_id])
    return chain
