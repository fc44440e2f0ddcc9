"""Cases that were closed by names before become proposals of the accounts with these names."""

from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from inventory.models.proposal import Proposal
from tests.factories import DAY, NOW

BEFORE = ("inventory", "0001_initial")


def leave_out_foreign_keys() -> None:
    """Let rows stand without those that they refer to."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) FROM pg_constraint"
            " WHERE contype = 'f' AND connamespace = 'before'::regnamespace"
        )
        for (statement,) in cursor.fetchall():
            cursor.execute(statement)


def test_a_case_of_before_keeps_who_found_what_and_who_decided(db):
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA before")
        cursor.execute("SET LOCAL search_path TO before")
        # A test is one transaction, where a table with checks to come cannot be altered.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    call_command("migrate", *BEFORE, verbosity=0)
    call_command("migrate", "certportal", verbosity=0)
    leave_out_foreign_keys()
    old = MigrationExecutor(connection).loader.project_state([BEFORE]).apps
    people = [apps.get_model("certportal", "User").objects.create(username=name).pk for name in ("ann", "bob")]
    device = old.get_model("inventory", "Device").objects.create(fleet_id=1, serial="STOLEN-1", registered_at=NOW)
    said = {"device_id": device.pk, "finding": "Found.", "proposal": "cleared", "opened_at": NOW, "opened_by": "ann"}
    closed = {"closed_at": NOW + DAY, "closed_by": "bob", "outcome": "cleared", "note": "Seen."}
    for certificate, end in ((7, {}), (8, closed), (9, {**closed, "outcome": "dismissed"})):
        old.get_model("inventory", "Case").objects.create(certificate_id=certificate, **said, **end)

    call_command("migrate", "inventory", "0002_people_and_approvals", verbosity=0)

    proposals = Proposal.objects.order_by("id")
    assert [(each.state, each.proposer_id, each.decider_id, each.reason, each.note) for each in proposals] == [
        ("waiting", people[0], None, "Found.", ""),
        ("approved", people[0], people[1], "Found.", "Seen."),
        ("rejected", people[0], people[1], "Found.", "Seen."),
    ]
    assert all(each.is_as_proposed for each in proposals)
    assert [each.content["certificate"] for each in proposals] == [7, 8, 9]
