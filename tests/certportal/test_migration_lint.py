"""Migrations that a portal in use would feel are named; those that it would not are let through."""

import pytest
from django.apps import apps
from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
    RemoveIndexConcurrently,
    ValidateConstraint,
)
from django.core.management import call_command
from django.db import models
from django.db.migrations import (
    AddConstraint,
    AddField,
    AddIndex,
    AlterField,
    AlterUniqueTogether,
    CreateModel,
    Migration,
    RemoveIndex,
    RunPython,
    RunSQL,
    SeparateDatabaseAndState,
)
from django.db.migrations.state import ProjectState
from django.db.models.functions import Now, Random, Upper

from certportal.migration_lint import LARGE, findings, problems

INDEX = models.Index(fields=["serial"], name="new_index")
CHECK = models.CheckConstraint(condition=~models.Q(serial=""), name="new_check")
UNIQUE = models.UniqueConstraint(fields=["mqtt_id"], name="new_unique")
LONG_NAME = models.CharField(max_length=100)


@pytest.fixture(scope="module")
def before() -> ProjectState:
    return ProjectState.from_apps(apps)


def said(before, *operations, atomic=True) -> list[str]:
    migration = Migration("0099_test", "inventory")
    migration.operations = list(operations)
    migration.atomic = atomic
    return list(problems(migration, before))


def field(name, kind) -> AddField:
    return AddField("device", name, kind)


SAFE = {
    "an index made concurrently": [AddIndexConcurrently("device", INDEX)],
    "an index removed concurrently": [RemoveIndexConcurrently("device", "device_serial")],
    "a check that is validated by itself": [
        AddConstraintNotValid("device", CHECK),
        ValidateConstraint("device", "new_check"),
    ],
    "an index of a small table": [AddIndex("fleet", models.Index(fields=["name"], name="x"))],
    "a constraint of a small table": [
        AddConstraint("site", models.CheckConstraint(condition=CHECK.condition, name="x"))
    ],
    "a column that may be null": [field("x", models.TextField(null=True))],
    "a column with a constant default": [field("x", models.TextField(db_default=""))],
    "a column with the time of now": [field("x", models.DateTimeField(db_default=Now()))],
    "a longer text": [AlterField("device", "mqtt_id", models.CharField(max_length=1000))],
    "other choices": [AlterField("alert", "kind", models.CharField(max_length=24, choices=[("a", "A")]))],
    "a foreign key without constraint and index": [
        field("x", models.ForeignKey("inventory.Site", models.PROTECT, null=True, db_constraint=False, db_index=False))
    ],
    "a new table with indexes": [
        CreateModel("Presence", [("id", models.BigAutoField(primary_key=True)), ("at", models.DateTimeField())]),
        AddIndex("presence", models.Index(fields=["at"], name="x")),
    ],
    "what is only said of the models": [SeparateDatabaseAndState(state_operations=[AddIndex("device", INDEX)])],
    "a function that works in batches": [RunPython(RunPython.noop)],
}
SAFE_SQL = [
    "CREATE INDEX CONCURRENTLY x ON inventory_device (serial)",
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS x ON public.inventory_device USING btree (serial)",
    "CREATE INDEX x ON inventory_site (name)",
    "DROP INDEX CONCURRENTLY device_serial",
    "ALTER TABLE inventory_device ADD CONSTRAINT x CHECK (serial <> '') NOT VALID",
    "ALTER TABLE inventory_device VALIDATE CONSTRAINT x",
    "ALTER TABLE inventory_device ADD CONSTRAINT x UNIQUE USING INDEX y",
    "ALTER TABLE inventory_device DROP CONSTRAINT x",
    "ALTER TABLE inventory_site ADD CONSTRAINT x UNIQUE (fleet_id, id)",
    "ALTER TABLE inventory_device ADD COLUMN x timestamptz NOT NULL DEFAULT now()",
    "ALTER TABLE inventory_device SET (fillfactor = 90)",
    "UPDATE inventory_fleet SET name = 'x'",
    "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ UPDATE inventory_device SET serial = 'x' $$",
    "COMMENT ON TABLE inventory_device IS 'CREATE INDEX x ON inventory_device (serial)'",
    "-- CREATE INDEX x ON inventory_device (serial)\nSELECT 1",
]


@pytest.mark.parametrize("operations", SAFE.values(), ids=SAFE)
def test_what_nobody_feels_is_let_through(before, operations):
    assert said(before, *operations, atomic=False) == []


@pytest.mark.parametrize("sql", SAFE_SQL)
def test_statements_that_nobody_feels_are_let_through(before, sql):
    assert said(before, RunSQL(sql), atomic=False) == []


FELT = {
    "AddIndexConcurrently": [AddIndex("device", INDEX)],
    "RemoveIndexConcurrently": [RemoveIndex("device", "device_serial")],
    "AddConstraintNotValid": [AddConstraint("Device", CHECK)],
    "USING INDEX": [AddConstraint("device", UNIQUE)],
    "NOT NULL without db_default": [field("x", LONG_NAME)],
    "calls its default for each row": [field("x", models.FloatField(db_default=Random()))],
    "rewrites the table": [
        field("x", models.GeneratedField(expression=Upper("serial"), output_field=LONG_NAME, db_persist=True))
    ],
    "an index made under a lock": [field("x", models.TextField(null=True, db_index=True))],
    "a foreign key that reads": [
        field("x", models.ForeignKey("inventory.Site", models.PROTECT, null=True, db_index=False))
    ],
    "from varchar": [AlterField("device", "serial", models.CharField(max_length=5))],
    "to NOT NULL": [AlterField("device", "latitude", models.DecimalField(max_digits=8, decimal_places=6))],
    "AlterUniqueTogether": [AlterUniqueTogether("device", {("mqtt_id", "serial")})],
}
FELT_SQL = {
    "CREATE INDEX x ON inventory_device (serial)": "without CONCURRENTLY",
    'create unique index x on only "inventory_device" (serial)': "without CONCURRENTLY",
    "DROP INDEX device_serial": "DROP INDEX without",
    "REINDEX TABLE inventory_device": "REINDEX without",
    "ALTER TABLE inventory_device ADD CONSTRAINT x CHECK (serial <> 'NOT VALID')": "NOT VALID and VALIDATE",
    "ALTER TABLE inventory_device ADD FOREIGN KEY (site_id) REFERENCES inventory_site": "NOT VALID and VALIDATE",
    "ALTER TABLE inventory_device ALTER COLUMN serial SET NOT NULL": "SET NOT NULL",
    "ALTER TABLE inventory_device ALTER serial TYPE text": "ALTER COLUMN TYPE",
    "ALTER TABLE inventory_device ADD COLUMN x uuid DEFAULT gen_random_uuid()": "called for each row",
    "ALTER TABLE inventory_device ADD x integer NOT NULL": "fails for rows",
    "UPDATE inventory_device SET serial = upper(serial)": "in batches",
    "DELETE FROM inventory_auditevent WHERE at < now()": "in batches",
    "VACUUM FULL inventory_device": "keeps everybody out",
    "LOCK TABLE inventory_certificate": "keeps everybody out",
    "DO $$ BEGIN UPDATE inventory_device SET serial = ''; END $$": "DO block",
}


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize(("words", "operations"), FELT.items(), ids=FELT)
def test_what_a_portal_in_use_would_feel_is_named_with_what_to_do_instead(before, words, operations, atomic):
    [problem] = said(before, *operations, atomic=atomic)
    assert words in problem


@pytest.mark.parametrize(("sql", "words"), FELT_SQL.items(), ids=FELT_SQL)
def test_statements_that_a_portal_in_use_would_feel_are_named(before, sql, words):
    for given in (sql, [sql], [(sql, None)], f"SELECT 1; {sql};"):
        [problem] = said(before, RunSQL(given), atomic=False)
        assert words in problem
    assert said(before, SeparateDatabaseAndState(database_operations=[RunSQL(sql)]), atomic=False) == [problem]


@pytest.mark.parametrize(
    "operation",
    [
        AddIndexConcurrently("device", INDEX),
        RemoveIndexConcurrently("device", "device_serial"),
        ValidateConstraint("device", "device_status_known"),
        RunPython(RunPython.noop),
        RunSQL("CREATE INDEX CONCURRENTLY x ON inventory_device (serial)"),
        RunSQL("DROP INDEX CONCURRENTLY device_serial"),
        RunSQL("ALTER TABLE inventory_device VALIDATE CONSTRAINT device_status_known"),
    ],
    ids=lambda operation: type(operation).__name__,
)
def test_what_must_not_share_a_transaction_is_named_in_a_migration_that_is_one(before, operation):
    [problem] = said(before, operation)
    assert "atomic = False" in problem
    assert said(before, operation, atomic=False) == []


def test_statements_of_one_text_share_a_transaction_whatever_the_migration_says(before):
    [problem] = said(before, RunSQL("SELECT 1; DROP INDEX CONCURRENTLY device_serial"), atomic=False)
    assert "atomic = False" in problem


def test_large_tables_are_tables(before):
    assert set(before.models) >= LARGE


def test_our_migrations_are_safe():
    assert findings() == []
    call_command("lint_migrations")
