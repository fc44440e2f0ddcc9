"""Stores signed certificates: each with its audit event, all or nothing. On a busy plane each round trip counts."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models.base import ModelState
from psycopg.types.numeric import Int8

from inventory import pg_copy, prepared
from inventory.audit.record import Entry, record_by_copy
from inventory.issuing import serial_numbers
from inventory.issuing.serial_numbers import Place
from inventory.models import Authority, Certificate, CertificateState, Device, Profile
from inventory.models.joined import join
from inventory.prepared import Statement


class Row(NamedTuple):
    """A new certificate as the columns of its row that are not null."""

    id: int
    authority_id: int
    serial: str
    issuance_index: int
    crl_shard: int
    purpose: str
    device_id: int | None
    profile_id: int | None
    predecessor_id: int | None
    subject: str
    key_type: str
    der: bytes
    sha256: bytes
    spki_sha256: bytes
    not_before: datetime
    not_after: datetime
    jitter: timedelta
    issued_at: datetime
    state: str = CertificateState.ISSUED.value
    revocation_reason: str = ""


_WIDTH = pg_copy.width(Row._fields)
# What a row does not say is null.
_NOTHING: dict[str, Any] = dict.fromkeys(field.attname for field in Certificate._meta.concrete_fields)


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})"  # noqa: S608


_CERTIFICATE = f"WITH certificate AS ({_insert('inventory_certificate', Row._fields)})"
_EVENT = _insert("inventory_auditevent", Entry._fields)
_INSERT_BOTH = f"{_CERTIFICATE} {_EVENT}"
_INSERT_BOTH_AND_DRAW = f"{_CERTIFICATE}, event AS ({_EVENT}) SELECT {serial_numbers.NEXT}"


def store(row: Row, event: Entry, first: Statement | None = None) -> None:
    """Insert a certificate and its event, in one statement, which needs no transaction around it.

    `first` is done in the same round trip.
    """
    inserted = Statement(_INSERT_BOTH, _parameters(row, event))
    prepared.execute(*(inserted.after(first) if first else inserted))


def store_and_draw(row: Row, event: Entry, issuer: Authority, first: Statement | None = None) -> Place:
    """Do as `store`, and draw a place for another certificate of `issuer` in the same statement."""
    inserted = Statement(_INSERT_BOTH_AND_DRAW, [*_parameters(row, event), Int8(issuer.pk)])
    [(pk, index)] = prepared.selected(*(inserted.after(first) if first else inserted))
    return serial_numbers.place(pk, index, issuer)


def _parameters(row: Row, event: Entry) -> list[Any]:
    return [Int8(value) if type(value) is int else value for value in (*row, *event)]


def store_many(rows: Sequence[Row], events: Sequence[Entry]) -> None:
    """Insert certificates and the event of each, by a COPY for each table."""
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        pg_copy.copy_in(cursor, "inventory_certificate", Row._fields, map(_encoded, rows))
        record_by_copy(events)


def stored(
    row: Row,
    *,
    authority: Authority,
    device: Device | None = None,
    profile: Profile | None = None,
    predecessor: Certificate | None = None,
) -> Certificate:
    """Return the certificate of a row that was inserted, with what it refers to, as if it had been read.

    Made as one that was pickled is: the constructor, which looks at each field, takes as long as to sign it.
    """
    state = ModelState()
    state.adding, state.db = False, connection.alias
    certificate = Certificate.__new__(Certificate)
    vars(certificate).update(_NOTHING | row._asdict(), _state=state)
    join(certificate, authority=authority, device=device, profile=profile, predecessor=predecessor)
    return certificate


def _encoded(row: Row) -> bytes:
    return b"".join(
        (
            _WIDTH,
            pg_copy.int8(row.id),
            pg_copy.int8(row.authority_id),
            pg_copy.text(row.serial),
            pg_copy.int8(row.issuance_index),
            pg_copy.int2(row.crl_shard),
            pg_copy.word(row.purpose),
            pg_copy.int8(row.device_id),
            pg_copy.int8(row.profile_id),
            pg_copy.int8(row.predecessor_id),
            pg_copy.text(row.subject),
            pg_copy.word(row.key_type),
            pg_copy.octets(row.der),
            pg_copy.octets(row.sha256),
            pg_copy.octets(row.spki_sha256),
            pg_copy.moment(row.not_before),
            pg_copy.moment(row.not_after),
            pg_copy.interval(row.jitter),
            pg_copy.moment(row.issued_at),
            pg_copy.word(row.state),
            pg_copy.word(row.revocation_reason),
        )
    )
