"""Scopes: the sets of certificates that have a CRL of their own (RFC 5280 5): each shard, and the whole authority."""

from dataclasses import dataclass

from inventory import session_locks
from inventory.issuing import urls
from inventory.models import Authority


@dataclass(frozen=True)
class Scope:
    """One shard of an authority, or with `shard` None everything that it issued."""

    authority: str
    shard: int | None

    @property
    def name(self) -> str:
        return "all" if self.shard is None else str(self.shard)

    def __str__(self) -> str:
        return f"{self.authority}/{self.name}"

    @property
    def distribution_point(self) -> str | None:
        """What the certificates of a shard name as their CRL. The complete CRL is named by none."""
        return None if self.shard is None else urls.crl_url(self.authority, self.shard)

    @property
    def address(self) -> str:
        """Where verifiers fetch its CRL."""
        return self.distribution_point or urls.complete_crl_url(self.authority)

    @property
    def lock_key(self) -> int:
        """The key of the lock that whoever publishes this scope holds."""
        return session_locks.key_of(f"certportal CRL {self}")


def scopes(authority: Authority) -> list[Scope]:
    """Return every scope of `authority`: its shards, then the whole."""
    return [Scope(authority.slug, shard) for shard in (*range(authority.crl_shards), None)]
