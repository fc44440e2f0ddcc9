"""What is referred to stays, though no foreign key looks when a certificate or an event is written."""

import threading

import pytest
from django.db import IntegrityError, connection, transaction

from inventory.models import Certificate, Profile
from tests.factories import device, enrolled, fleet

pytestmark = pytest.mark.django_db(transaction=True)


def unused_profile() -> Profile:
    """Return one that nothing refers to, which otherwise is as the fleet's."""
    profile = Profile.objects.get(pk=fleet().profile_id)
    profile.pk, profile.slug, profile.name = None, "unused", "Unused"
    profile.save()
    return profile


def execute(statement: str, *parameters) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


@pytest.mark.parametrize(
    ("table", "column", "constraint"),
    [
        ("inventory_authority", "authority_id", "certificate_refers_to"),
        ("inventory_profile", "profile_id", "certificate_refers_to"),
        ("inventory_device", "device_id", "certificate_refers_to"),
        ("inventory_device", "device_id", "auditevent_refers_to"),
    ],
)
def test_what_a_certificate_or_its_event_names_is_not_deleted(table, column, constraint):
    certificate = enrolled().certificate
    # Other tables have foreign keys to these; only what guards certificates and events is asked here.
    others = "SELECT conrelid::regclass, conname FROM pg_constraint WHERE contype = 'f' AND confrelid = %s::regclass"
    with pytest.raises(IntegrityError, match="is still referred to from inventory_"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(others, [table])
            for of, name in cursor.fetchall():
                cursor.execute(f'ALTER TABLE {of} DROP CONSTRAINT "{name}"')
            for trigger in {"certificate_refers_to", "auditevent_refers_to"} - {constraint}:
                cursor.execute(f"DROP TRIGGER IF EXISTS {trigger} ON {table}")
        execute(f"DELETE FROM {table} WHERE id = %s", getattr(certificate, column))  # noqa: S608 - a name of ours
        execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_what_refers_to_a_row_may_go_after_it_in_one_transaction():
    meter, unused = enrolled(), unused_profile()
    Certificate.objects.filter(pk=meter.certificate.pk).update(profile=unused)
    with transaction.atomic():
        execute("DELETE FROM inventory_profile WHERE id = %s", unused.pk)
        Certificate.objects.filter(pk=meter.certificate.pk).update(profile=fleet().profile)
    assert not Profile.objects.filter(pk=unused.pk).exists()


def test_a_profile_is_kept_for_a_certificate_that_another_session_has_not_committed():
    meter = enrolled()
    unused = unused_profile()
    refused = []

    def delete() -> None:
        try:
            execute("DELETE FROM inventory_profile WHERE id = %s", unused.pk)
        except IntegrityError as error:
            refused.append(str(error))
        finally:
            connection.close()

    deleting = threading.Thread(target=delete)
    with transaction.atomic():
        Certificate.objects.filter(pk=meter.certificate.pk).update(profile=unused)
        deleting.start()
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'inventory_certificate'::regclass"
        with connection.cursor() as cursor:
            while True:
                cursor.execute(waits)
                if cursor.fetchone() == (1,):
                    break
                assert deleting.is_alive(), refused
    deleting.join()
    assert "is still referred to" in refused[0]
    assert Profile.objects.filter(pk=unused.pk).exists()


def test_a_certificate_for_a_device_that_is_gone_is_refused_as_it_is_counted():
    meter = enrolled()
    gone = device("gone")
    execute("DELETE FROM inventory_device WHERE id = %s", gone.pk)
    with pytest.raises(IntegrityError, match="fleet_id"):
        Certificate.objects.filter(pk=meter.certificate.pk).update(device_id=gone.pk)


def test_a_profile_that_nothing_refers_to_goes():
    unused_profile().delete()
    assert not Profile.objects.filter(slug="unused").exists()
