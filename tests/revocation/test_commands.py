"""`manage.py revoke` and `manage.py publish_crls`."""

import getpass
import json

import pytest
from django.core.management import CommandError, ManagementUtility, call_command

from inventory.models import AuditAction, AuditEvent, Authority, Batch, Certificate, CertificateState
from revocation import crl_files
from revocation.scopes import Scope
from tests import factories
from tests.revocation.issuers import own_certificate

pytestmark = pytest.mark.django_db
REASON = ("--reason", "keyCompromise")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    call_command(*arguments)
    return capsys.readouterr().out


def revoked() -> set[int]:
    return set(Certificate.objects.revoked().values_list("pk", flat=True))


@pytest.mark.parametrize(
    "written",
    [
        str,
        str.upper,
        lambda serial: "0x" + serial,
        lambda serial: ":".join([serial[:2], serial[2:]]),
        lambda serial: f"{serial[:4]}-{serial[4:8]} {serial[8:]}\n",
    ],
)
def test_one_certificate_by_serial_number_however_it_is_written(capsys, written):
    certificate = factories.enrolled().certificate
    assert "1 certificate revoked" in run(capsys, "revoke", "--serial", written(certificate.serial), *REASON)
    assert revoked() == {certificate.pk}


def test_a_second_run_says_that_nothing_was_left_to_do(capsys):
    certificate = factories.enrolled().certificate
    run(capsys, "revoke", "--serial", certificate.serial, *REASON)
    with pytest.raises(CommandError, match="Nothing changed: 1 certificate was revoked before") as failed:
        run(capsys, "revoke", "--serial", certificate.serial, *REASON, "--json")
    assert failed.value.returncode == 1
    assert json.loads(capsys.readouterr().out) == {"revoked": 0, "already_revoked": 1, "raised": 0}


def test_a_compromise_is_said_after_a_lesser_reason(capsys):
    certificate = factories.enrolled().certificate
    run(capsys, "revoke", "--serial", certificate.serial, "--reason", "superseded")
    assert "1 raised to a compromise" in run(capsys, "revoke", "--serial", certificate.serial, *REASON)


def test_an_error_of_a_command_is_a_sentence(capsys):
    with pytest.raises(SystemExit) as ended:
        ManagementUtility(["manage.py", "revoke", "--serial", "4a00beef", *REASON]).execute()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "No certificate has the serial number 4a00beef.\n"


def test_the_audit_log_names_the_user_and_the_note(capsys):
    certificate = factories.enrolled().certificate
    run(capsys, "revoke", "--serial", certificate.serial, *REASON, "--note", "found on a market")
    event = AuditEvent.objects.get(action=AuditAction.CERTIFICATE_REVOKED)
    assert (event.actor, event.details["note"]) == (getpass.getuser(), "found on a market")


def test_a_device_of_two_fleets_needs_the_fleet(capsys):
    other = factories.fleet("other")
    here = factories.enrolled(factories.device("MTR-1"))
    there = factories.enrolled(factories.device("MTR-1", fleet=other))
    with pytest.raises(CommandError, match="2 devices are called MTR-1; --fleet picks one") as refused:
        run(capsys, "revoke", "--device", "MTR-1", *REASON)
    assert refused.value.returncode == 2
    run(capsys, "revoke", "--device", "MTR-1", "--fleet", "other", *REASON)
    assert revoked() == {there.certificate.pk} != {here.certificate.pk}


@pytest.mark.parametrize("target", [["--serial", "ab"], ["--device", "X"], ["--batch", "X"], ["--authority", "nobody"]])
def test_an_unknown_target_is_wrong_use(capsys, target):
    with pytest.raises(CommandError) as refused:
        run(capsys, "revoke", *target, *REASON)
    assert refused.value.returncode == 2


def test_a_batch_is_revoked_only_when_its_number_is_confirmed(capsys):
    batch = Batch.objects.create(fleet=factories.fleet(), name="W09")
    hit = {factories.enrolled(factories.device(batch=batch)).certificate.pk for _ in range(3)}
    factories.enrolled()
    for confirmation in ([], ["--yes-revoke", "2"]):
        with pytest.raises(CommandError, match="hits 3 unexpired certificates: confirm with --yes-revoke 3") as refused:
            run(capsys, "revoke", "--batch", "W09", *REASON, *confirmation)
        assert refused.value.returncode == 2
        assert revoked() == set()
    assert "3 certificates revoked" in run(capsys, "revoke", "--batch", "W09", *REASON, "--yes-revoke", "3")
    assert revoked() == hit


def test_an_authority_is_revoked_itself_and_its_certificates_with_it_by_derivation(capsys):
    leaf = factories.enrolled().certificate
    with pytest.raises(CommandError, match="hits 1 unexpired certificate"):
        run(capsys, "revoke", "--authority", "mfg-1", "--reason", "cACompromise")
    run(capsys, "revoke", "--authority", "mfg-1", "--reason", "cACompromise", "--yes-revoke", "1")
    assert revoked() == {own_certificate("mfg-1").pk}
    leaf.refresh_from_db()
    assert leaf.state != CertificateState.REVOKED


def test_a_root_is_refused(capsys):
    factories.authority()
    with pytest.raises(CommandError, match="trust stores") as refused:
        run(capsys, "revoke", "--authority", "root", "--reason", "cACompromise", "--yes-revoke", "2")
    assert refused.value.returncode == 1


def test_publishing_now_brings_every_scope(capsys):
    factories.authority("sharded", crl_shards=2)
    published = json.loads(run(capsys, "publish_crls", "--json"))
    assert [line["crl"] for line in published] == ["root/0", "root/all", "sharded/0", "sharded/1", "sharded/all"]
    assert all(crl_files.path(Scope(*_scope(line["crl"]))).exists() for line in published)
    assert "sharded/1: number 2, 0 entries" in run(capsys, "publish_crls", "--authority", "sharded")


def _scope(name: str) -> tuple[str, int | None]:
    authority, _, shard = name.partition("/")
    return authority, None if shard == "all" else int(shard)


def test_publishing_for_an_unknown_authority_is_wrong_use(capsys):
    with pytest.raises(CommandError, match="no authority nobody") as refused:
        run(capsys, "publish_crls", "--authority", "nobody")
    assert refused.value.returncode == 2


def test_a_key_that_is_away_fails_the_command_but_not_the_other_authorities(capsys):
    factories.authority()
    Authority.objects.filter(slug="mfg-1").update(key_name="away")
    with pytest.raises(CommandError, match=r"mfg-1/0: .*away") as failed:
        run(capsys, "publish_crls")
    assert failed.value.returncode == 1
    assert crl_files.path(Scope("root", 0)).exists()
