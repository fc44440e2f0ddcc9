"""Serial numbers: random, and at their end which of its authority's certificates it is."""

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from psycopg.types.numeric import Int8

from inventory import pg_arrays, prepared
from inventory.models import Authority
from inventory.x509.template import SERIAL_OCTETS

INDEX_BITS = 32
RANDOM_BITS = 127
# The first octet is never zero: DER would leave it out, and lengths of certificates, CRL entries and OCSP answers are
# constant. That costs a hundredth of a bit.
_LEAST = 1 << RANDOM_BITS - 7

NEXT = "nextval('inventory_certificate_id_seq'), inventory_draw_issuance_indexes(%s::bigint, 1)"
"""What draws a place, as the columns of a statement: the key of a row, and the index for the authority of this key."""

_DRAW = """
    SELECT ARRAY(SELECT nextval('inventory_certificate_id_seq') FROM generate_series(1, %s)),
           ARRAY(SELECT inventory_draw_issuance_indexes(authority, number)
                 FROM unnest(%s::bigint[], %s::bigint[]) WITH ORDINALITY drawn (authority, number, place)
                 ORDER BY place)"""


class Place(NamedTuple):
    """Where a certificate stands: the key of its row, its number among those of its authority, and its CRL shard."""

    pk: int
    issuance_index: int
    shard: int


def new_serial(index: int) -> bytes:
    """Return a serial number of always 20 octets (RFC 5280 4.1.2.2: at most 20, positive).

    A bit 0, 127 random bits, and `index` in 32 bits: docs/decisions/issuance-index.md
    """
    number = 0
    while number < _LEAST:
        number = int.from_bytes(secrets.token_bytes(16)) >> 1
    return (number << INDEX_BITS | index).to_bytes(SERIAL_OCTETS)


def draw(issuers: Sequence[Authority]) -> list[Place]:
    """Return a new place for one certificate of each of `issuers`. One query.

    Those of one authority are numbered without a gap, in the order given, whoever else draws meanwhile. What is drawn
    and not used is a gap for ever.
    """
    if len(issuers) == 1:
        [issuer] = issuers
        [(pk, index)] = prepared.selected(f"SELECT {NEXT}", [Int8(issuer.pk)])
        return [place(pk, index, issuer)]
    numbers = Counter(issuer.pk for issuer in issuers)
    drawn = [Int8(len(issuers)), pg_arrays.integers(numbers), pg_arrays.integers(numbers.values())]
    [(pks, firsts)] = prepared.selected(_DRAW, drawn)
    following: dict[int, Iterator[int]] = {
        authority: iter(range(first, first + numbers[authority]))
        for authority, first in zip(numbers, firsts, strict=True)
    }
    return [place(pk, next(following[issuer.pk]), issuer) for pk, issuer in zip(pks, issuers, strict=True)]


def place(pk: int, index: int, issuer: Authority) -> Place:
    """Return the place that was drawn for a certificate of `issuer`."""
    # In turn: shards grow alike, and so does what a revoked batch adds to each.
    return Place(pk, index, index % issuer.crl_shards)
