"""Invariants: a sound portal breaks none, and each violation that is planted is named with its row."""

import secrets
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from certportal.invariants import INVARIANTS, violations
from inventory.audit.record import SYSTEM
from inventory.devices.cases import open_case
from inventory.models import (
    Certificate,
    CertificateState,
    ImportRun,
    ImportState,
    RevocationReason,
    UncertifiedDevice,
)
from inventory.models.case import Verdict
from renewal.models import EnrolmentSecret, Target
from revocation import crl_files
from revocation.orders import Order, revoke
from revocation.publishing import publish
from revocation.scopes import Scope
from tests.factories import DAY, NOW, authority, device, enrolled, fleet, investigator, root
from tests.renewal.rows import running_campaign, secret_of

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def own_home(settings, tmp_path):
    settings.HOME = tmp_path


@pytest.fixture
def sound():
    """A portal with something of everything; nothing is wrong with it."""
    first, second = enrolled(device("A")), enrolled(device("B"))
    running_campaign()
    revoke(second.certificate, order(), NOW)
    published()
    return first, second


def order() -> Order:
    return Order(RevocationReason.KEY_COMPROMISE, SYSTEM)


def published(now=NOW) -> None:
    for each in (root(), authority()):
        for shard in (0, None):
            publish(each, shard, now)


def broken() -> dict[str, str]:
    """The first row of each broken invariant."""
    return {each.invariant: each.row for each in reversed(violations(NOW))}


def copy_of(certificate: Certificate, **changes: object) -> Certificate:
    """Write a certificate past the door, without an event."""
    made = Certificate.objects.get(pk=certificate.pk)
    made.pk, made._state.adding = None, True
    made.serial, made.sha256, made.issuance_index = f"7{secrets.token_hex(10)}", secrets.token_bytes(32), None
    for name, value in changes.items():
        setattr(made, name, value)
    made.save(force_insert=True)
    return made


def run_sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def revoke_silently(certificate_id: int | None) -> None:
    Certificate.objects.filter(pk=certificate_id).update(
        state=CertificateState.REVOKED, revoked_at=NOW, revocation_reason=RevocationReason.KEY_COMPROMISE
    )


def test_a_sound_portal_breaks_no_invariant(sound):
    assert violations(NOW) == []


def a_wrong_counter(_first, _second):
    run_sql("UPDATE inventory_devicedelta SET number = number + 1")
    return f"devices of fleet {fleet().pk}: counted"


def a_certificate_without_an_event(first, _second):
    made = copy_of(first.certificate, spki_sha256=secrets.token_bytes(32))
    return f"certificate {made.pk} (CN=A"


def a_revocation_without_an_event(first, _second):
    revoke_silently(first.certificate.pk)
    return f"certificate {first.certificate.pk} "


def one_key_of_two_devices(first, second):
    made = copy_of(first.certificate, device=second.device)
    return f"certificates {first.certificate.pk}, {made.pk} have one key"


def a_certificate_after_its_authority(first, _second):
    revoke_silently(root().certificate_id)
    made = copy_of(first.certificate, issued_at=NOW + SECOND)
    return f"certificate {made.pk} "


def a_certificate_in_spite_of_a_case(_first, second):
    open_case(second.device, finding="?", proposal=Verdict.CLEARED, now=NOW, actor=investigator("ann"))
    Certificate.objects.filter(pk=second.certificate.pk).update(issued_at=NOW - DAY)
    unrevoked = {"state": CertificateState.ISSUED, "revoked_at": None, "revocation_reason": ""}
    made = copy_of(second.certificate, issued_at=NOW + SECOND, **unrevoked)
    return f"certificate {made.pk} "


def a_renewal_of_another_device(first, second):
    made = copy_of(first.certificate, predecessor=second.certificate, spki_sha256=secrets.token_bytes(32))
    return f"certificate {made.pk} "


def a_successor_that_was_never_used(first, _second):
    newer = copy_of(first.certificate, state=CertificateState.ISSUED, activated_at=None)
    old = Certificate.objects.filter(pk=first.certificate.pk)
    old.update(state=CertificateState.SUPERSEDED, successor=newer)
    return f"certificate {first.certificate.pk} "


def a_secret_for_another_device(first, second):
    secret_of(first.device)
    EnrolmentSecret.objects.update(spent_at=NOW, certificate=second.certificate)
    return f"secret {EnrolmentSecret.objects.get().pk} of device {first.device.pk} "


def a_target_of_another_device(first, second):
    target = Target.objects.get(device=first.device)
    Target.objects.filter(pk=target.pk).update(certificate=second.certificate)
    return f"target {target.pk} of campaign"


def a_device_that_is_said_to_have_had_none(first, _second):
    UncertifiedDevice.objects.create(device=first.device)
    return (
        f"device {first.device.pk} is said never to have had a certificate, and has certificate {first.certificate.pk}"
    )


def a_certificate_of_no_profile(first, _second):
    Certificate.objects.filter(pk=first.certificate.pk).update(profile=0)
    return f"certificate {first.certificate.pk} ("


def an_import_that_nobody_does(_first, _second):
    run = ImportRun.objects.create(
        source="/a.csv",
        format="csv",
        state=ImportState.RUNNING,
        actor_kind="user",
        actor="boss",
        started_at=NOW - DAY,
        worked_at=NOW - DAY,
    )
    return f"import {run.pk} is running"


def an_audit_log_without_its_trigger(_first, _second):
    run_sql("ALTER TABLE inventory_auditevent DISABLE TRIGGER audit_is_append_only")
    return "trigger audit_is_append_only"


def a_crl_that_lacks_a_certificate(first, _second):
    revoke_silently(first.certificate.pk)
    return f"CRL mfg-1/0 lacks the revoked certificate {int(first.certificate.serial, 16):x}"


PLANTED: dict[str, Callable[..., str]] = {
    "counters_equal_the_rows_they_count": a_wrong_counter,
    "each_certificate_of_ours_was_issued_by_one_audit_event": a_certificate_without_an_event,
    "each_revocation_of_ours_is_in_the_audit_log": a_revocation_without_an_event,
    "no_key_is_certified_for_two_devices": one_key_of_two_devices,
    "nothing_was_issued_after_its_authority_was_revoked": a_certificate_after_its_authority,
    "no_device_with_an_open_case_got_a_certificate": a_certificate_in_spite_of_a_case,
    "whoever_never_had_a_certificate_has_none": a_device_that_is_said_to_have_had_none,
    "what_certificates_and_events_refer_to_is_there": a_certificate_of_no_profile,
    "renewals_stay_with_their_device": a_renewal_of_another_device,
    "a_certificate_is_superseded_by_one_that_was_used": a_successor_that_was_never_used,
    "a_secret_gave_its_own_device_a_certificate": a_secret_for_another_device,
    "targets_are_of_their_campaign_and_device": a_target_of_another_device,
    "no_import_runs_without_a_worker": an_import_that_nobody_does,
    "the_audit_log_is_append_only": an_audit_log_without_its_trigger,
    "crls_in_place_hold_what_is_revoked": a_crl_that_lacks_a_certificate,
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_named_with_its_row(sound, name):
    try:
        row = PLANTED[name](*sound)
        assert broken()[name].startswith(row)
    finally:
        run_sql("ALTER TABLE inventory_auditevent ENABLE TRIGGER audit_is_append_only")


@pytest.mark.parametrize("gone", ["campaign_id", "device_id"])
def test_a_target_of_what_is_gone_is_named(sound, gone):
    # The database itself does not look.
    target = Target.objects.get(device=sound[0].device)
    Target.objects.filter(pk=target.pk).update(**{gone: 0})
    row = f"target {target.pk} of campaign"
    assert broken()["targets_are_of_their_campaign_and_device"].startswith(row)


@pytest.mark.parametrize("gone", ["device_id", "certificate_id"])
def test_an_event_of_what_is_gone_is_named(sound, gone):
    columns = "at, action, actor_kind, actor, request_id, object_name, details"
    run_sql(f"""INSERT INTO inventory_auditevent ({columns}, {gone})
                VALUES (now(), 'certificate:use:odd', 'system', 'x', '', 'meter', '{{}}', 0)""")  # noqa: S608 - ours
    assert broken()["what_certificates_and_events_refer_to_is_there"].endswith(
        "(meter) is of no device or certificate that there is"
    )


def test_every_invariant_has_a_violation_planted_and_is_in_the_handbook():
    names = {invariant.__name__ for invariant in INVARIANTS}
    assert names == set(PLANTED)
    handbook = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    assert {name for name in names if f"`{name}`" not in handbook} == set()


def spoil_file() -> str:
    path = crl_files.path(Scope("mfg-1", 0))
    path.write_bytes(path.read_bytes()[:-1])
    return "CRL mfg-1/0: the file in place is not number 1"


def lose_file() -> str:
    crl_files.path(Scope("mfg-1", 0)).unlink()
    return "CRL mfg-1/0 was never published, or its file is gone"


def pardon() -> str:
    Certificate.objects.filter(state=CertificateState.REVOKED).update(
        state=CertificateState.ISSUED, revoked_at=None, revocation_reason=""
    )
    return "CRL mfg-1/0 holds "


@pytest.mark.parametrize("plant", [spoil_file, lose_file, pardon])
def test_a_crl_that_is_not_what_the_rows_say_is_named(sound, plant):
    said = plant()
    assert broken()["crls_in_place_hold_what_is_revoked"].startswith(said)


def test_a_crl_that_ended_is_named(sound):
    found = [each.row for each in violations(NOW + 2 * DAY)]
    assert any(row.startswith("CRL mfg-1/0 number 1 ended at ") for row in found)


def test_a_revocation_that_waits_for_its_crl_breaks_nothing(sound):
    first, _second = sound
    revoke(first.certificate, order(), NOW)
    assert violations(NOW) == []


def test_the_command_ends_with_one_and_names_the_row(sound):
    first, _second = sound
    revoke_silently(first.certificate.pk)
    said = StringIO()
    with pytest.raises(CommandError) as ending:
        call_command("verify_invariants", stdout=said)
    assert ending.value.returncode == 1
    assert f"each_revocation_of_ours_is_in_the_audit_log: certificate {first.certificate.pk} " in said.getvalue()
