"""Brakes on guessing: leaky buckets in PostgreSQL, filled before a password is looked at.

A bucket holds so many attempts and leaks one every so many seconds. Attempts at the same moment are counted one after
the other by the database, so a hundred at once get no further than ten.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from django.db import connection, transaction

from certportal.models import Brake

# After this long any bucket is empty.
_EMPTY_AFTER = timedelta(days=1)
_FILL = """
    INSERT INTO certportal_brake AS brake (key, level, at) VALUES (%(key)s, 1, %(now)s)
    ON CONFLICT (key) DO UPDATE SET level = {left} + 1, at = greatest(brake.at, excluded.at)
    WHERE {left} + 1 <= %(holds)s
    RETURNING level
""".format(left="greatest(0, brake.level - greatest(0, extract(epoch FROM excluded.at - brake.at)) / %(seconds)s)")  # noqa: S608 - put together from constants


@dataclass(frozen=True)
class Bucket:
    """What is counted together. `holds` attempts at once, then one every `seconds`."""

    key: str
    holds: int
    seconds: float

    @classmethod
    def of(cls, *parts: str, holds: int, seconds: float) -> "Bucket":
        """Return the bucket of what `parts` name; only their hash is stored."""
        return cls(hashlib.sha256("\n".join(parts).encode(errors="surrogatepass")).hexdigest(), holds, seconds)


def reserve(buckets: Sequence[Bucket], now: datetime) -> timedelta | None:
    """Put an attempt into each bucket, or into none when one is full: then return how long to wait. Commits."""
    with transaction.atomic():
        full = next((bucket for bucket in buckets if not _fill(bucket, now)), None)
        if full is None:
            return None
        transaction.set_rollback(True)
    return timedelta(seconds=full.seconds)


def give_back(buckets: Sequence[Bucket]) -> None:
    """Take an attempt that was none out again."""
    keys = [bucket.key for bucket in buckets]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE certportal_brake SET level = greatest(0, level - 1) WHERE key = ANY(%s)", [keys])


def forget(now: datetime) -> int:
    """Delete buckets that are long empty; return how many."""
    deleted, _ = Brake.objects.filter(at__lt=now - _EMPTY_AFTER).delete()
    return deleted


def networks_of(address: str | None) -> list[str]:
    """Return what one stranger has of the Internet, the nearest first: an IPv4 address; a /64 and a /48 of IPv6.

    Whoever has one IPv6 address has 2^64, and a site is given 2^16 such networks (RFC 6177).
    """
    if not address:
        return [""]
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is None:
            return [str(ip_network((int(found), bits), strict=False)) for bits in (64, 48)]
        found = found.ipv4_mapped
    return [str(found)]


def _fill(bucket: Bucket, now: datetime) -> bool:
    words: dict[str, str | float | datetime] = {
        "key": bucket.key,
        "now": now,
        "holds": bucket.holds,
        "seconds": bucket.seconds,
    }
    with connection.cursor() as cursor:
        cursor.execute(_FILL, words)
        return cursor.fetchone() is not None
