"""External authorities: made from what the certificates that they signed say of them."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.utils.text import slugify

from inventory.importing.parsing.certificates import own_identity
from inventory.importing.parsing.parser import Authority as StagedAuthority
from inventory.models import Authority, Certificate

# A device that signed its own certificate is no authority worth a page; a few of them are let in.
MOST_NEW = 1000
_MOST_GENERATIONS = 20
_CHARACTERS_OF_SLUG = 30


def own_identities() -> frozenset[bytes]:
    """Return the identities of the portal's own authorities. One query."""
    own = Authority.objects.own().filter(certificate__isnull=False).select_related("certificate")
    return frozenset(own_identity(authority.x509) for authority in own)


class ExternalAuthorities:
    """The external authorities of one import: which there are, and how many it may still make."""

    def __init__(self, already_made: int) -> None:
        known = Authority.objects.external().values_list("external_identity", flat=True)
        self._known = {bytes(identity) for identity in known if identity is not None}
        self._left = MOST_NEW - already_made

    def make(self, issuers: Mapping[bytes, str], now: datetime) -> int:
        """Make rows for the issuers that have none, as far as the limit goes. Return how many were new."""
        missing = [(identity, name) for identity, name in issuers.items() if identity not in self._known]
        missing = missing[: max(0, self._left)]
        if not missing:
            return 0
        before = Authority.objects.external().count()
        Authority.objects.bulk_create(
            [_authority(identity, name, now) for identity, name in missing], ignore_conflicts=True
        )
        made = Authority.objects.external().count() - before
        self._left -= made
        self._known |= {identity for identity, _name in missing}
        return made

    def link(self, staged: Iterable[StagedAuthority]) -> None:
        """Give external authorities the certificates that were merged for them, and the authority that signed it."""
        for each in staged:
            own = Certificate.objects.filter(sha256=each.sha256).only("id").first()
            authority = Authority.objects.external().filter(external_identity=each.identity).first()
            if own is None or authority is None or authority.certificate_id is not None:
                continue
            if Authority.objects.filter(certificate=own).exists():
                continue
            authority.certificate = own
            above = Authority.objects.external().filter(external_identity=each.issuer).first()
            if above is not None and authority.pk not in _upwards(above):
                authority.parent = above
            authority.save(update_fields=["certificate", "parent"])


def _authority(identity: bytes, name: str, now: datetime) -> Authority:
    common = next((part[3:] for part in name.split(",") if part.startswith("CN=")), name)
    slug = slugify(common)[:_CHARACTERS_OF_SLUG].strip("-")
    return Authority(
        slug="-".join(part for part in ("ext", slug, identity.hex()[:10]) if part),
        name=common[:100] or "?",
        external_identity=identity,
        created_at=now,
    )


def _upwards(authority: Authority) -> list[int]:
    """Return the keys of an authority and of those above it: authorities that signed each other must make no circle."""
    keys: list[int] = []
    current: Authority | None = authority
    while current is not None and len(keys) < _MOST_GENERATIONS:
        keys.append(current.pk)
        current = current.parent
    return keys
