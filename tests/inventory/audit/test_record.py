"""The audit log: written with its act, cut to what a row holds, and never changed again."""

import pytest
import structlog
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory.audit.record import SYSTEM, Actor, event, record
from inventory.models import AuditAction, AuditEvent
from inventory.models.audit import ActorKind
from tests.factories import NOW, enrolled

pytestmark = pytest.mark.django_db
STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=1000)


def note(**changes) -> AuditEvent:
    record([event(**{"action": AuditAction.LOGIN_FAILED, "now": NOW, "actor": SYSTEM, "object_name": "x", **changes})])
    return AuditEvent.objects.latest("pk")


@given(STORABLE, STORABLE)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
def test_any_name_that_postgresql_can_hold_is_recorded_as_far_as_it_fits(db, actor, name):
    written = note(actor=Actor(ActorKind.UNKNOWN, actor), object_name=name)
    assert (written.actor, written.object_name) == (actor[:150], name[:600])


def test_an_event_carries_the_id_of_its_request():
    with structlog.contextvars.bound_contextvars(request_id="r" * 100):
        assert note().request_id == "r" * 64
    assert note().request_id == ""


def test_the_database_notes_when_it_was_written_beside_when_it_happened():
    written = note()
    assert written.at == NOW
    assert written.recorded_at != NOW


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE inventory_auditevent SET actor = 'nobody'",
        "DELETE FROM inventory_auditevent",
        "UPDATE inventory_auditevent SET id = id + 1000000",
        """
        INSERT INTO inventory_auditevent (id, at, action, actor_kind, actor, request_id, object_name, details)
        SELECT id, at, action, actor_kind, 'nobody', '', '', '{}' FROM inventory_auditevent
        ON CONFLICT (id) DO UPDATE SET actor = 'nobody'
        """,
    ],
    ids=["update", "delete", "renumber", "upsert"],
)
def test_no_statement_changes_a_row_that_was_written(statement):
    before = note()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    after = AuditEvent.objects.get(pk=before.pk)
    assert after.actor == "certportal"


def test_what_the_log_speaks_of_cannot_be_deleted():
    meter = enrolled()
    for spoken_of in (meter.certificate, meter.device):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            table = connection.ops.quote_name(spoken_of._meta.db_table)
            cursor.execute(f"DELETE FROM {table} WHERE id = %s", [spoken_of.pk])  # noqa: S608 - a name of ours
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_an_act_that_is_rolled_back_leaves_no_event():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        note(object_name="undone")
        raise ZeroDivisionError
    assert not AuditEvent.objects.filter(object_name="undone").exists()


def test_a_thousand_events_are_one_statement(django_assert_num_queries):
    with django_assert_num_queries(1):
        record(event(AuditAction.LOGIN_FAILED, now=NOW, actor=SYSTEM, object_name=str(n)) for n in range(1000))
