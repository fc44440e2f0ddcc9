"""Freshness of published CRLs: one line a scope, for the sweep, the dashboard and `doctor`."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from revocation.scopes import Scope

# "Published within a minute" is the promise; the sweep that keeps it runs every half minute.
_REVOCATION_MAY_WAIT = timedelta(minutes=1)

# Lateral, so that each scope costs one look into the index however long the history is.
_FRESHNESS = """
    SELECT authority.id, authority.slug, authority.name, scope.shard,
           latest.number, latest.published_at, latest.next_update, latest.entries, waiting.since
    FROM inventory_authority authority
    JOIN inventory_certificate own ON own.id = authority.certificate_id AND own.not_after >= %(now)s
        AND authority.key_name IS NOT NULL
    CROSS JOIN LATERAL (
        SELECT generate_series(0, authority.crl_shards - 1) AS shard UNION ALL SELECT NULL
    ) scope
    LEFT JOIN LATERAL (
        (SELECT * FROM revocation_crl WHERE authority_id = authority.id AND shard = scope.shard
         ORDER BY number DESC LIMIT 1)
        UNION ALL
        (SELECT * FROM revocation_crl WHERE authority_id = authority.id AND shard IS NULL AND scope.shard IS NULL
         ORDER BY number DESC LIMIT 1)
    ) latest ON true
    LEFT JOIN (
        SELECT authority_id, shard, min(requested_at) AS since FROM revocation_publicationrequest GROUP BY 1, 2
    ) waiting ON waiting.authority_id = authority.id AND waiting.shard IS NOT DISTINCT FROM scope.shard
    ORDER BY authority.name, authority.id, scope.shard NULLS LAST
"""


@dataclass(frozen=True)
class Freshness:
    """The latest CRL of one scope. `number` None: never published. `waiting_since`: a revocation is not in it yet."""

    authority_id: int
    authority_slug: str
    authority_name: str
    shard: int | None
    number: int | None
    published_at: datetime | None
    next_update: datetime | None
    entries: int | None
    waiting_since: datetime | None

    @property
    def scope(self) -> Scope:
        return Scope(self.authority_slug, self.shard)

    def late(self, now: datetime) -> bool:
        """Whether publication is late: half an interval overdue, or a revocation is missing longer than promised."""
        if self.published_at is None or self.published_at < now - 1.5 * settings.CRL_INTERVAL:
            return True
        return self.waiting_since is not None and self.waiting_since < now - _REVOCATION_MAY_WAIT

    def expired(self, now: datetime) -> bool:
        """Whether nextUpdate has passed, so that verifiers refuse this CRL."""
        return self.next_update is not None and self.next_update <= now


def freshness(now: datetime) -> list[Freshness]:
    """Return every scope of every authority whose own certificate has not ended, shards before the whole. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_FRESHNESS, {"now": now})
        return [Freshness(*row) for row in cursor.fetchall()]
