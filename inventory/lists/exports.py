"""Exports: all rows of a list, formatted by PostgreSQL and streamed to the client.

PostgreSQL makes the lines and sends them one by one, so memory is flat and no object is made for a row. A workbook is
an archive, which is sent when its last row is in it; until then it grows on disk. An export is one statement and
therefore one moment: each row that the list held then, once. Who exported what is in the audit log before the first row
leaves; how many rows left, after the last.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from tempfile import TemporaryFile
from threading import BoundedSemaphore
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections, models
from django.db.models import Expression, F, Func, QuerySet, Value
from django.utils.translation import gettext_lazy as _

from inventory.audit import record
from inventory.audit.record import Actor
from inventory.lists import xlsx
from inventory.models import AuditAction
from inventory.models.certificate import status_at

# The rows leave over hours: the end of an export has a moment of its own.
Clock = Callable[[], datetime]
# An export holds a connection to the database for as long as its reader takes, and a process has ten of them.
MOST_AT_ONCE = 4
_running = BoundedSemaphore(MOST_AT_ONCE)
_CHUNK = 64 * 1024
# What spreadsheets take for a formula, in the widths they know.
_FORMULA = "^([=+@\t\r\uff1d\uff0b\uff0d\uff20-])"


class Format(models.TextChoices):
    CSV = "csv", _("CSV")
    XLSX = "xlsx", _("workbook")
    NDJSON = "ndjson", _("JSON lines")


MEDIA_TYPES = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.NDJSON: "application/x-ndjson",
}


class ExportRefused(Exception):  # named for the condition
    """Too many exports run in this process."""

    def __init__(self) -> None:
        super().__init__(f"{MOST_AT_ONCE} exports are running; no more run at once. Try again when one has ended.")


@dataclass(frozen=True)
class Column:
    """`text`: its values are chosen by people or devices, and may look like formulas. `moment`: they are times."""

    name: str
    value: Expression | F
    text: bool = False
    moment: bool = False


@dataclass(frozen=True)
class Listing:
    """What the rows of a list are called, and what their exports hold at a moment."""

    name: str
    columns: Callable[[datetime], Sequence[Column]]


@dataclass(frozen=True)
class Export:
    listing: Listing
    queryset: QuerySet[Any]
    format: Format
    question: str
    """The filter as it stands in the address."""
    actor: Actor

    def start(self, clock: Clock) -> Iterator[bytes]:
        """Record the export and return its bytes. Raises ExportRefused while too many run."""
        if not _running.acquire(blocking=False):
            raise ExportRefused
        stream = self._stream(clock)
        # Up to the first bytes: from there on the stream itself gives its place back, read to the end or not.
        next(stream)
        return stream

    def _stream(self, clock: Clock) -> Iterator[bytes]:
        rows, whole, now = 0, False, clock()
        try:
            self._record(AuditAction.EXPORT_STARTED, now, {})
            yield b""
            try:
                for block, count in self._blocks(now):
                    rows += count
                    yield block
                whole = True
            finally:
                self._record(AuditAction.EXPORT_ENDED, clock(), {"rows": rows, "whole": whole})
        finally:
            _running.release()

    def _blocks(self, now: datetime) -> Iterator[tuple[bytes, int]]:
        """Yield bytes, and how many rows end in them."""
        columns = self.listing.columns(now)
        yield from self._workbook(columns) if self.format == Format.XLSX else self._lines(columns)

    def _workbook(self, columns: Sequence[Column]) -> Iterator[tuple[bytes, int]]:
        rows = _plain(self.queryset, [column.value for column in columns]).iterator()
        with TemporaryFile() as file:
            count = xlsx.write(file, self.listing.name, [column.name for column in columns], rows)
            file.seek(0)
            while block := file.read(_CHUNK):
                yield block, 0
        yield b"", count

    def _lines(self, columns: Sequence[Column]) -> Iterator[tuple[bytes, int]]:
        header = ",".join(column.name for column in columns).encode() + b"\n"
        if self.format == Format.CSV:
            yield header, 0
        try:
            statement, values = _statement(self.queryset, columns, self.format)
        except EmptyResultSet:
            return
        parts: list[bytes] = []
        size = 0
        with connections[self.queryset.db].cursor() as cursor, cursor.copy(statement, values) as lines:
            for line in lines:
                # The text format doubles backslashes; JSON written by PostgreSQL holds nothing else that it changes.
                data = bytes(line) if self.format == Format.CSV else bytes(line).replace(b"\\\\", b"\\")
                parts.append(data)
                size += len(data)
                if size >= _CHUNK:
                    yield b"".join(parts), len(parts)
                    parts, size = [], 0
        yield b"".join(parts), len(parts)

    def _record(self, action: AuditAction, now: datetime, details: dict[str, Any]) -> None:
        told = {"filter": self.question, "format": self.format.value, **details}
        name = f"{self.listing.name}: {self.question or 'all'}"
        record.record([record.event(action, now=now, actor=self.actor, object_name=name, details=told)])


def _statement(queryset: QuerySet[Any], columns: Sequence[Column], kind: Format) -> tuple[str, tuple[Any, ...]]:
    """Return the COPY that writes the lines. Raises EmptyResultSet when the filter excludes everything by itself."""
    expressions = [_written(column, kind) for column in columns]
    statement, values = _plain(queryset, expressions).query.sql_with_params()
    names = ", ".join(f'"{column.name}"' for column in columns)
    shown, options = ("*", "(FORMAT csv)") if kind == Format.CSV else ("row_to_json(r)", "")
    return f"COPY (SELECT {shown} FROM ({statement}) r({names})) TO STDOUT {options}", values  # noqa: S608


def _plain(queryset: QuerySet[Any], expressions: Sequence[Expression | F]) -> QuerySet[Any, tuple[Any, ...]]:
    """Return the rows with nothing but these values. In no order: millions of rows need no place to be sorted then."""
    return queryset.select_related(None).prefetch_related(None).order_by().values_list(*expressions)


def _written(column: Column, kind: Format) -> Expression | F:
    if column.moment:
        # In UTC, ISO 8601.
        utc = "to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        return Func(column.value, template=utc, output_field=models.TextField())
    return _harmless(column.value) if kind == Format.CSV and column.text else column.value


def _harmless(value: Expression | F) -> Func:
    """Put an apostrophe before what a spreadsheet would compute (OWASP, CSV injection)."""
    return Func(value, Value(_FORMULA), Value("'\\1"), function="regexp_replace", output_field=models.TextField())


# --- Columns --------------------------------------------------------------------------------------------------------


def plain(name: str, path: str = "") -> Column:
    return Column(name, F(path or name))


def text(name: str, path: str = "") -> Column:
    return Column(name, F(path or name), text=True)


def moment(name: str, path: str = "") -> Column:
    return Column(name, F(path or name), moment=True)


def hexadecimal(name: str) -> Column:
    return Column(name, Func(F(name), Value("hex"), function="encode", output_field=models.TextField()))


def _devices(now: datetime) -> list[Column]:
    return [
        plain("id"), text("fleet", "fleet__slug"), text("serial"), text("batch", "batch__name"),
        text("site", "site__name"), plain("latitude"), plain("longitude"), text("mqtt_id"), text("phone_number"),
        plain("connectivity"), plain("status"), moment("last_seen_at", "presence__last_seen_at"),
        moment("registered_at"),
    ]  # fmt: skip


def _certificates(now: datetime) -> list[Column]:
    return [
        plain("id"), plain("serial"), text("authority", "authority__slug"), plain("purpose"),
        text("fleet", "device__fleet__slug"), text("device", "device__serial"), text("batch", "device__batch__name"),
        text("site", "device__site__name"), text("profile", "profile__slug"), text("subject"), plain("key_type"),
        hexadecimal("sha256"), hexadecimal("spki_sha256"), moment("not_before"), moment("not_after"),
        moment("issued_at"), Column("status", status_at(now)), plain("predecessor", "predecessor_id"),
        plain("successor", "successor_id"), moment("activated_at"), moment("revoked_at"), plain("revocation_reason"),
    ]  # fmt: skip


def _audit_events(now: datetime) -> list[Column]:
    return [
        plain("id"), moment("at"), moment("recorded_at"), plain("action"), plain("actor_kind"), text("actor"),
        plain("source_address"), text("request_id"), text("object_name"), text("device", "device__serial"),
        plain("certificate", "certificate__serial"), plain("details"),
    ]  # fmt: skip


def _unexpected_sightings(now: datetime) -> list[Column]:
    return [
        plain("id"), plain("oddity"), text("name"), text("source"), text("fleet", "device__fleet__slug"),
        text("device", "device__serial"), plain("certificate", "certificate__serial"), moment("first_seen_at"),
        moment("last_seen_at"), plain("count"),
    ]  # fmt: skip


def _alerts(now: datetime) -> list[Column]:
    return [
        plain("id"), plain("kind"), text("about"), text("fleet", "certificate__device__fleet__slug"),
        text("device", "certificate__device__serial"), plain("certificate", "certificate__serial"),
        text("policy", "policy__name"), plain("threshold"), moment("ends_at"), plain("level"), moment("raised_at"),
        moment("notified_at"), moment("acknowledged_at"), text("acknowledged_by"), text("note"), moment("resolved_at"),
        plain("resolution"),
    ]  # fmt: skip


def _cases(now: datetime) -> list[Column]:
    return [
        plain("id"), text("fleet", "device__fleet__slug"), text("device", "device__serial"),
        plain("certificate", "certificate__serial"), text("finding", "approval__reason"), plain("proposal"),
        moment("opened_at"), text("opened_by", "approval__proposer__username"), plain("outcome"), moment("closed_at"),
        text("closed_by", "approval__decider__username"), text("note", "approval__note"),
    ]  # fmt: skip


def _proposals(now: datetime) -> list[Column]:
    return [
        plain("id"), plain("kind"), text("title"), text("reason"), moment("proposed_at"),
        text("proposer", "proposer__username"), moment("expires_at"), hexadecimal("sha256"), plain("state"),
        moment("ended_at"), text("decider", "decider__username"), text("note"),
    ]  # fmt: skip


DEVICES = Listing("devices", _devices)
EXPIRED_DEVICES = Listing("expired-devices", _devices)
REVOKED_DEVICES = Listing("revoked-devices", _devices)
CERTIFICATES = Listing("certificates", _certificates)
AUDIT_EVENTS = Listing("audit-events", _audit_events)
ALERTS = Listing("alerts", _alerts)
UNEXPECTED_SIGHTINGS = Listing("unexpected-sightings", _unexpected_sightings)
CASES = Listing("cases", _cases)
PROPOSALS = Listing("proposals", _proposals)
