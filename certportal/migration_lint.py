"""Which migrations would hold up a portal in use: 2.2 million devices, and traffic while it is migrated.

Each migration after the first of a package is looked at, without a database. A table that the migration itself makes
is empty, whatever it will hold one day.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
    RemoveIndexConcurrently,
    ValidateConstraint,
)
from django.db import connection, models
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.migrations import Migration, operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models.expressions import Value
from django.db.models.functions import Now

from certportal import migration_sql

PACKAGES = ("inventory", "revocation", "renewal", "certportal")
# Every table that grows with the fleet or with time.
LARGE = frozenset(
    {
        ("certportal", "keptanswer"),
        ("inventory", "alert"),
        ("inventory", "auditevent"),
        ("inventory", "certificate"),
        ("inventory", "certificatecount"),
        ("inventory", "certificatedelta"),
        ("inventory", "device"),
        ("inventory", "devicedelta"),
        ("inventory", "devicepresence"),
        ("inventory", "unexpectedsighting"),
        ("renewal", "attempt"),
        ("renewal", "enrolmentsecret"),
        ("renewal", "target"),
        ("renewal", "targetmove"),
        ("revocation", "crl"),
        ("revocation", "publicationrequest"),
    }
)


_INSTEAD: dict[type[Operation], str] = {
    operations.AddIndex: "holds up every writer while it reads the table: AddIndexConcurrently.",
    operations.RemoveIndex: "waits for every reader, and all others behind it: RemoveIndexConcurrently.",
    operations.AddConstraint: (
        "makes its index under a lock: make that CONCURRENTLY by RunSQL, then ADD CONSTRAINT … USING INDEX."
    ),
    operations.AlterUniqueTogether: "makes an index under a lock: name it, and make it concurrently.",
    operations.AlterIndexTogether: "makes an index under a lock: name it, and make it concurrently.",
    operations.AlterOrderWithRespectTo: "adds a column that every row must have: add one that may be null.",
}


@dataclass(frozen=True)
class Finding:
    """What is wrong with a migration, `inventory.0002_subject`, and what to do instead."""

    migration: str
    problem: str

    def __str__(self) -> str:
        return f"{self.migration}: {self.problem}"


def findings() -> list[Finding]:
    """Return what is wrong with the migrations of our packages."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    return [
        Finding(f"{label}.{name}", problem)
        for (label, name), migration in sorted(loader.disk_migrations.items())
        if label in PACKAGES and not migration.initial and not name.startswith("0001_")
        for problem in problems(migration, loader.project_state((label, name), at_end=False))
    ]


def problems(migration: Migration, before: ProjectState) -> Iterator[str]:
    """Yield what is wrong with a migration that meets the models of `before`."""
    large = {
        (label, name)
        for label, name in LARGE
        if (label, name) in before.models  # what it makes itself is not there yet
    }
    tables = {_table(before, label, name) for label, name in large}
    state = before.clone()
    for operation in _flat(migration.operations):
        yield from _of_operation(operation, migration, state, large, tables)
        operation.state_forwards(migration.app_label, state)


def _table(state: ProjectState, label: str, name: str) -> str:
    return str(state.models[label, name].options.get("db_table") or f"{label}_{name}")


def _flat(steps: Iterable[Operation]) -> Iterator[Operation]:
    """Yield what is done to the database; what is only said of the models is safe."""
    for operation in steps:
        if isinstance(operation, operations.SeparateDatabaseAndState):
            yield from _flat(operation.database_operations)
        else:
            yield operation


def _of_operation(
    operation: Operation, migration: Migration, state: ProjectState, large: set[tuple[str, str]], tables: set[str]
) -> Iterator[str]:
    match operation:
        case operations.RunSQL():
            yield from _of_sql(operation.sql, tables, atomic=bool(migration.atomic))
        case operations.RunPython():
            if migration.atomic:
                yield "RunPython in one transaction holds what it locks: set atomic = False, and work in batches."
        case _:
            # Constraints and indexes name their model otherwise than fields do.
            name = getattr(operation, "model_name", None) or getattr(operation, "name", "")
            if (migration.app_label, str(name).lower()) in large:
                model = (migration.app_label, str(name).lower())
                yield from _of_large(operation, migration, state, model)


def _of_large(operation: Operation, migration: Migration, state: ProjectState, model: tuple[str, str]) -> Iterator[str]:
    table = _table(state, *model)
    match operation:
        case AddIndexConcurrently() | RemoveIndexConcurrently() | ValidateConstraint():
            if migration.atomic:
                yield f"{type(operation).__name__} on {table} must not share a transaction: set atomic = False."
        case operations.AddField():
            yield from _of_new_field(operation.field, f"{table}.{operation.name}")
        case operations.AlterField():
            before = state.models[model].fields[operation.name]
            yield from _of_altered_field(before, operation.field, f"{table}.{operation.name}")
        case AddConstraintNotValid():
            pass
        case operations.AddConstraint(constraint=models.CheckConstraint()):
            yield f"AddConstraint on {table} reads it under a lock: AddConstraintNotValid, then ValidateConstraint."
        case _:
            for kind, what in _INSTEAD.items():
                if isinstance(operation, kind):
                    yield f"{type(operation).__name__} on {table} {what}"


def _of_new_field(field: models.Field, name: str) -> Iterator[str]:  # type: ignore[type-arg]
    if field.many_to_many:
        return
    if isinstance(field, models.GeneratedField) or field.primary_key:
        yield f"AddField {name} rewrites the table: add a column that may be null and fill it in batches."
        return
    yield from _of_what_hangs_on(field, None, name)
    default = field.db_default
    if field.has_db_default() and not isinstance(default, Value | Now) and hasattr(default, "resolve_expression"):
        yield f"AddField {name} calls its default for each row, which rewrites the table: give it a constant one."
    if not field.null and not field.has_db_default():
        yield f"AddField {name} is NOT NULL without db_default: processes of before could write no row."


def _of_altered_field(before: models.Field, after: models.Field, name: str) -> Iterator[str]:  # type: ignore[type-arg]
    if before.many_to_many or after.many_to_many:
        return
    # The types of foreign keys are those of keys, which stay.
    if not (before.is_relation and after.is_relation):
        old, new = before.db_type(connection), after.db_type(connection)
        if old != new and not _only_wider(before, after):
            yield f"AlterField {name} from {old} to {new} rewrites the table: add a column and fill it in batches."
    if before.null and not after.null:
        yield f"AlterField {name} to NOT NULL reads the table and keeps everybody out: validate a CheckConstraint."
    yield from _of_what_hangs_on(after, before, name)


def _only_wider(before: models.Field, after: models.Field) -> bool:  # type: ignore[type-arg]
    """Whether a text only may become longer, which rewrites nothing."""
    if not isinstance(before, models.CharField) or not isinstance(after, models.CharField | models.TextField):
        return False
    return after.max_length is None or (before.max_length is not None and before.max_length <= after.max_length)


def _of_what_hangs_on(after: models.Field, before: models.Field | None, name: str) -> Iterator[str]:  # type: ignore[type-arg]
    def has(field: models.Field | None, what: str) -> bool:  # type: ignore[type-arg]
        return bool(field is not None and getattr(field, what, False))

    if (has(after, "db_index") or has(after, "unique")) and not (has(before, "db_index") or has(before, "unique")):
        yield f"Field {name} brings an index made under a lock: db_index=False, and an index made concurrently."
    if has(after, "remote_field") and has(after, "db_constraint") and not has(before, "db_constraint"):
        yield f"Field {name} brings a foreign key that reads the table: db_constraint=False, NOT VALID, then VALIDATE."


def _of_sql(sql: object, tables: set[str], *, atomic: bool) -> Iterator[str]:
    """Look at what RunSQL runs: a text of statements, or a list of texts and (text, parameters)."""
    given = sql if isinstance(sql, list | tuple) else [sql]
    for text in (str(each[0] if isinstance(each, list | tuple) else each) for each in given):
        # That of PostgreSQL does not split: it sends a text at once, which makes its statements one transaction.
        statements = BaseDatabaseOperations.prepare_sql_script(connection.ops, text)
        yield from migration_sql.problems(statements, tables, atomic=atomic or len(statements) > 1)
