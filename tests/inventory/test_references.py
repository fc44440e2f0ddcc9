"""What is referred to stays, though no foreign key looks when a certificate or an event is written."""

import threading

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction

from inventory.migrations.sql.references import Reference
from inventory.models import Alert, AlertKind, AlertPolicy, AlertRun, Certificate, Profile, Urgency
from renewal.models import Attempt, Target, TargetMove
from tests.factories import NOW, device, enrolled, fleet
from tests.renewal.rows import running_campaign

pytestmark = pytest.mark.django_db(transaction=True)
OURS = ("inventory", "renewal", "revocation")


def unused_profile() -> Profile:
    """Return one that nothing refers to, which otherwise is as the fleet's."""
    profile = Profile.objects.get(pk=fleet().profile_id)
    profile.pk, profile.slug, profile.name = None, "unused", "Unused"
    profile.save()
    return profile


def execute(statement: str, *parameters) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


# table, its column without a foreign key, and what is asked when one of those goes
REFERENCES = [
    ("inventory_certificate", "authority_id", "inventory_authority"),
    ("inventory_certificate", "profile_id", "inventory_profile"),
    ("inventory_certificate", "device_id", "inventory_device"),
    ("inventory_auditevent", "device_id", "inventory_device"),
    ("inventory_auditevent", "certificate_id", "inventory_certificate"),
    ("inventory_alert", "certificate_id", "inventory_certificate"),
    ("inventory_alert", "policy_id", "inventory_alertpolicy"),
    ("inventory_alert", "run_id", "inventory_alertrun"),
    ("renewal_target", "campaign_id", "renewal_campaign"),
    ("renewal_target", "device_id", "inventory_device"),
    ("renewal_target", "certificate_id", "inventory_certificate"),
    ("renewal_target", "renewed_certificate_id", "inventory_certificate"),
    ("renewal_targetmove", "target_id", "renewal_target"),
    ("renewal_attempt", "target_id", "renewal_target"),
]
# A key of two columns holds a group of the device's own fleet; rows about a device are made and go with it.
OTHERWISE = {
    ("inventory_device", "site_id"),
    ("inventory_device", "batch_id"),
    ("inventory_devicepresence", "device_id"),
    ("inventory_uncertifieddevice", "device_id"),
}


@pytest.fixture
def rows():
    """A row of each table, with something in each column."""
    device = enrolled().device
    target = running_campaign().targets.get(device=device)
    renewed = enrolled(device).certificate
    Target.objects.filter(pk=target.pk).update(renewed_certificate=renewed)
    TargetMove.objects.create(target=target, at=NOW, state="issued")
    Attempt.objects.create(target=target, number=1, channel="mqtt", at=NOW)
    Alert.objects.create(
        kind=AlertKind.DEVICE_EXPIRY,
        urgency=Urgency.DEVICE,
        certificate=renewed,
        policy=AlertPolicy.objects.create(name="own", applies_to="daily", thresholds=[30]),
        threshold=30,
        ends_at=renewed.not_after,
        raised_at=NOW,
        level_since=NOW,
        notified_at=NOW,
        run=AlertRun.objects.create(started_at=NOW),
    )


def without_others(cursor, table: str, column: str, referred_to: str) -> None:
    """Take away what else refuses to delete a row of `referred_to`: foreign keys, and guards of other references."""
    keys = "SELECT conrelid::regclass, conname FROM pg_constraint WHERE contype = 'f' AND confrelid = %s::regclass"
    cursor.execute(keys, [referred_to])
    for of, name in cursor.fetchall():
        cursor.execute(f'ALTER TABLE {of} DROP CONSTRAINT "{name}"')
    for other in REFERENCES:
        if other[2] == referred_to and other[:2] != (table, column):
            cursor.execute(f"DROP TRIGGER {Reference(*other).guard} ON {referred_to}")


@pytest.mark.parametrize(("table", "column", "referred_to"), REFERENCES)
def test_what_is_referred_to_without_a_foreign_key_is_not_deleted(rows, table, column, referred_to):
    refused = pytest.raises(IntegrityError, match=f"is still referred to from {table}")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        without_others(cursor, table, column, referred_to)
        cursor.execute(f"DELETE FROM {referred_to} WHERE id = (SELECT max({column}) FROM {table})")  # noqa: S608 - ours
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_whatever_has_no_foreign_key_is_guarded():
    found = {
        (model._meta.db_table, field.column)
        for label in OURS
        for model in apps.get_app_config(label).get_models()
        for field in model._meta.concrete_fields
        if field.remote_field and not field.db_constraint
    }
    assert found == {(table, column) for table, column, _ in REFERENCES} | OTHERWISE


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
