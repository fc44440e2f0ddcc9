"""Finds the authority that a sighting names: by its slug, or by its distinguished name as certificates state it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
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
    """All authorities, as of construction. One query, and one more to read names that this process has not read yet.

    `revoked_at`: of each authority that is revoked, or below a revoked one, since when.
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
    """Return the names of authorities: the subject of their own certificate, or else the issuer of one they signed.

    External authorities may have no certificate of their own here. One query.
    """
    if not authorities:
        return {}
    signed = Certificate.objects.filter(authority=OuterRef("pk")).order_by("not_after", "pk")
    rows = Authority.objects.filter(pk__in=authorities).values_list(
        "pk", "certificate__der", Subquery(signed.values("der")[:1])
    )
    names = {}
    for pk, own, leaf in rows:
        # One damaged row must not keep the sightings of all others out.
        with suppress(ValueError):
            if own is not None:
                names[pk] = name_text.from_der(lenient.read(bytes(own)).subject)
            elif leaf is not None:
                names[pk] = name_text.from_der(lenient.read(bytes(leaf)).issuer)
    return names
