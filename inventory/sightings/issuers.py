"""The authorities as sightings name them: by slug, or by the distinguished name that stands in what they signed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property, lru_cache

from django.db.models import OuterRef, Subquery

from inventory.models import Authority, Certificate
from inventory.models.authority import RevocationAbove, RevokedAbove
from inventory.x509 import lenient, name_text
from inventory.x509.name_text import ComparableName

# By what never changes: the fingerprint of its own certificate, or else its identity. Authorities are few.
_NAMES: dict[bytes, ComparableName] = {}


class Issuers:
    """All authorities, as they are when this is made. One query; the first that is named costs one or two more.

    `revoked_at`: since when one at or above each authority is revoked, for those of which that is so.
    """

    def __init__(self) -> None:
        known = Authority.objects.annotate(revoked_above=RevokedAbove("pk"))
        self._by_slug: dict[str, int] = {}
        self._keys: dict[int, bytes] = {}
        self.revoked_at: dict[int, datetime] = {}
        rows = known.values_list("id", "slug", "certificate__sha256", "external_identity", "revoked_above")
        for pk, slug, sha256, identity, above in rows:
            self._by_slug[slug] = pk
            if key := sha256 or identity:
                self._keys[pk] = bytes(key)
            if revocation := RevocationAbove.read(above):
                self.revoked_at[pk] = revocation.at

    def named(self, name: str) -> Sequence[int]:
        """Return the authorities with the slug or the subject `name`, in any spelling of RFC 4514 or RFC 2253."""
        if name in self._by_slug:
            return (self._by_slug[name],)
        read = _read(name)
        # Several may have one subject, after a new key or by import.
        return () if read is None else self._by_name.get(read, ())

    @cached_property
    def _by_name(self) -> Mapping[ComparableName, Sequence[int]]:
        unread = [pk for pk, key in self._keys.items() if key not in _NAMES]
        _NAMES.update({self._keys[pk]: name for pk, name in _names(unread).items()})
        by_name: dict[ComparableName, list[int]] = {}
        for pk, key in self._keys.items():
            if key in _NAMES:
                by_name.setdefault(_NAMES[key], []).append(pk)
        return by_name


@lru_cache(maxsize=1024)
def _read(name: str) -> ComparableName | None:
    try:
        return name_text.from_text(name)
    except name_text.UnreadableName:
        return None


def _names(authorities: Sequence[int]) -> dict[int, ComparableName]:
    """Return the subjects of authorities, from their own certificates or else from one that each signed.

    External authorities may have no certificate here: their names stand in the certificates of devices.
    """
    if not authorities:
        return {}
    signed = Certificate.objects.filter(authority=OuterRef("pk")).order_by("not_after", "pk")
    rows = Authority.objects.filter(pk__in=authorities).values_list(
        "pk", "certificate__der", Subquery(signed.values("der")[:1])
    )
    names = {}
    for pk, own, leaf in rows:
        if own is not None:
            names[pk] = name_text.from_der(lenient.read(bytes(own)).subject)
        elif leaf is not None:
            names[pk] = name_text.from_der(lenient.read(bytes(leaf)).issuer)
    return names
