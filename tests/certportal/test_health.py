"""Health: each check finds what is wrong and says what to do; a store that is down is a finding, not a failure."""

import json
from datetime import datetime, timedelta

import django_rq
import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone
from rq import Worker

from certportal import cron, disk
from certportal.health import examine, ready, stores
from inventory.audit.record import SYSTEM
from inventory.issuing.authorities import AuthorityPlan
from inventory.issuing.certificates import InfrastructureRequest, issue_infrastructure
from inventory.models import Certificate, Purpose, RevocationReason
from renewal.channels import trouble
from renewal.channels.messages import Delivery, Fate
from renewal.jobs import renew_registration_authorities
from renewal.models import Channel, RegistrationAuthority
from revocation import jobs, signers
from revocation.authorities import establish
from revocation.models import OcspSigner
from revocation.publishing import publish
from tests.factories import DAY, NOW, authority, fleet, key, root

pytestmark = pytest.mark.django_db(transaction=True)
NOTHING_LISTENS = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def no_broker(settings):
    settings.MQTT_URL, settings.DEMO_DEVICES = "", 0


@pytest.fixture(autouse=True)
def valkey():
    client = django_rq.get_connection("default")
    client.flushdb()
    yield client
    client.flushdb()


@pytest.fixture
def database_down():
    def refuse(*_arguments: object) -> None:
        raise OperationalError("the connection is lost")

    with connection.execute_wrapper(refuse):
        yield


@pytest.fixture
def valkey_down(settings):
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": NOTHING_LISTENS}}


def problems(now: datetime = NOW) -> dict[str, str]:
    return {finding.check: finding.problem for finding in examine(now) if finding.problem}


def facts(now: datetime = NOW) -> dict[str, str]:
    return {finding.check: finding.fact for finding in examine(now)}


def published(now: datetime) -> None:
    for each in (root(), authority()):
        for shard in (0, None):
            publish(each, shard, now)


def test_a_portal_that_does_its_work_has_no_problem():
    now = timezone.now()
    published(now)
    fleet()
    jobs.renew_ocsp_signers()
    renew_registration_authorities()
    cron.beat()
    worker = Worker(["default"], connection=django_rq.get_connection("default"))
    worker.register_birth()  # type: ignore[no-untyped-call]
    assert problems(now) == {}
    assert facts(now)["workers"] == "1 alive"


def test_a_fleet_without_a_scep_registration_authority_or_its_key_is_named():
    fleet()
    name = "SCEP registration authority of mfg-1"
    assert "has no SCEP registration authority" in problems()[name]
    renew_registration_authorities()
    assert name not in problems()
    RegistrationAuthority.objects.update(key_name="away")
    assert "key of the SCEP registration authority cannot be used" in problems()[name]


def worker_at_rest() -> Worker:
    worker = Worker(["default"], connection=django_rq.get_connection("default"), worker_ttl=60)
    worker.register_birth()  # type: ignore[no-untyped-call]
    return worker


def test_a_worker_is_counted_again_with_its_first_heartbeat_after_a_flush(valkey):
    worker = worker_at_rest()
    valkey.flushdb()
    assert "No worker is alive" in problems(timezone.now())["workers"]
    worker.heartbeat()
    assert facts(timezone.now())["workers"] == "1 alive"


def test_a_worker_whose_heart_stopped_is_no_worker():
    died = worker_at_rest()
    found = problems(timezone.now() + timedelta(seconds=100))["workers"]
    assert "No worker is alive" in found and f"silent: {died.name} for 1" in found


def test_an_audit_log_whose_trigger_is_off_or_gone_is_named():
    assert "audit log" not in problems()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE inventory_auditevent DISABLE TRIGGER audit_is_append_only")
        try:
            assert "is off or gone" in problems()["audit log"]
        finally:
            cursor.execute("ALTER TABLE inventory_auditevent ENABLE TRIGGER audit_is_append_only")


def test_a_disk_that_is_nearly_full_is_named(monkeypatch):
    assert "disk space" not in problems()
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 2 * disk.RESERVE - 1}))
    assert problems()["disk space"].startswith("Only 2,047 MiB free")


def test_a_fleet_whose_authority_or_one_above_it_was_revoked_is_named():
    fleet("demo")
    check = "issuing for fleet demo"
    assert check not in problems()
    Certificate.objects.filter(pk=root().certificate_id).update(
        state="revoked", revoked_at=NOW, revocation_reason=RevocationReason.CA_COMPROMISE
    )
    assert problems()[check] == (
        "root was revoked: no device of fleet demo gets a certificate. Give it a new authority."
    )


def test_an_authority_without_an_ocsp_signer_or_without_its_key_is_named():
    made = authority()
    check = "OCSP signer of mfg-1"
    assert "tryLater for mfg-1" in problems()[check]
    signer = signers.renew_if_due(made, NOW)
    assert check not in problems()
    OcspSigner.objects.filter(pk=signer.pk).update(key_name="ocsp-gone")
    assert "tryLater for mfg-1" in problems()[check]


def test_an_authority_is_established_with_its_ocsp_signer():
    plan = AuthorityPlan("mfg-9", "Nine", "Test", 9000 * DAY, path_length=None)
    establish(plan, parent=None, made_at=NOW - 1000 * DAY, now=NOW, actor=SYSTEM)
    assert "OCSP signer of mfg-9" in facts()
    assert "OCSP signer of mfg-9" not in problems()


def test_a_broker_that_does_not_answer_is_named_and_no_broker_is_none(settings):
    assert "broker" not in facts()
    settings.MQTT_URL = settings.MQTT_BROKER_URL = "mqtt://127.0.0.1:1"
    assert problems()["broker"].startswith("127.0.0.1:1 cannot be used (")


def test_without_workers_and_cron_it_says_what_to_start():
    found = problems()
    assert "start manage.py rqworker" in found["workers"]
    assert "it never beat" in found["cron"]


def test_cron_that_has_not_beaten_for_three_minutes_stands_still():
    cron.beat()
    beat = cron.last_beat()
    assert beat
    assert "cron" not in problems(beat + timedelta(minutes=3))
    assert "stand still" in problems(beat + timedelta(minutes=3, seconds=1))["cron"]


def test_a_crl_never_published_late_or_expired_is_told_apart():
    authority()
    assert "was never published" in problems()["CRL mfg-1/0"]
    published(NOW)
    assert not any(check.startswith("CRL") for check in problems(NOW + timedelta(hours=1)))
    assert "is late" in problems(NOW + timedelta(hours=2))["CRL mfg-1/0"]
    assert "refuse every device" in problems(NOW + timedelta(hours=25))["CRL mfg-1/0"]


def test_own_certificates_are_named_before_they_end():
    request = InfrastructureRequest(Purpose.TLS_SERVER, key().public_key(), "device plane", 90 * DAY, ("localhost",))
    issue_infrastructure(request, authority(), now=NOW, actor=SYSTEM)
    check, second = "TLS server CN=device plane", timedelta(seconds=1)
    assert check not in problems(NOW + 85 * DAY)
    assert problems(NOW + 85 * DAY + second)[check] == "CN=device plane ends on 2027-05-30; renew it."
    issue_infrastructure(request, authority(), now=NOW + 80 * DAY, actor=SYSTEM)
    assert check not in problems(NOW + 85 * DAY + second)


def test_an_authority_is_named_a_year_before_it_ends():
    ends = authority().x509.not_valid_after_utc
    check = "certificate authority CN=Test mfg-1,O=Test"
    assert check not in problems(ends - 365 * DAY)
    assert check in problems(ends - 365 * DAY + timedelta(seconds=1))


def test_without_the_database_each_check_that_needs_it_says_so(database_down):
    found = problems()
    assert found["database"] == "The database does not answer: the connection is lost"
    assert {"database", "audit log", "clock", "crls", "issuing", "ocsp signers", "own certificates"} <= found.keys()


def test_without_valkey_the_database_is_still_examined(valkey_down):
    found = problems()
    assert found["heartbeat"].startswith("Valkey does not answer: ")
    assert "database" not in found


def test_clocks_apart_are_found(monkeypatch):
    class Fast(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(seconds=30)

    assert "clock" not in problems()
    monkeypatch.setattr(stores, "datetime", Fast)
    assert "set the clocks" in problems()["clock"]


@pytest.mark.parametrize(
    ("down", "missing"), [([], []), (["database_down"], ["database"]), (["valkey_down"], ["valkey"])]
)
def test_a_process_is_ready_exactly_while_it_reaches_its_stores(request, client, down, missing):
    for fixture in down:
        request.getfixturevalue(fixture)
    assert ready() == missing


def test_probes_answer_without_a_login(client, settings):
    assert client.get("/healthz").content == b"ok\n"
    response = client.get("/readyz")
    assert (response.status_code, response.content) == (200, b"ready\n")


def test_readyz_names_what_is_unreachable_and_healthz_lives_on(client, valkey_down):
    response = client.get("/readyz")
    assert (response.status_code, response.content) == (503, b"unreachable: valkey\n")
    assert client.get("/healthz").status_code == 200


def test_the_doctor_ends_with_one_and_a_list_when_something_is_wrong(capsys):
    with pytest.raises(SystemExit) as ending:
        call_command("doctor")
    assert ending.value.code == 1
    assert "WRONG  workers: No worker is alive" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        call_command("doctor", "--json")
    found = json.loads(capsys.readouterr().out)
    assert all(finding.keys() == {"check", "fact", "problem"} for finding in found)


def test_a_broker_in_trouble_is_named_with_its_reason_and_the_next_try():
    trouble.note(Channel.MQTT, [Delivery(1, Fate.NEVER_LEFT, "broker refuses the connection: Not authorized")], NOW)
    problem = problems()["channel MQTT"]
    assert "broker refuses the connection: Not authorized" in problem
    assert f"{NOW:%Y-%m-%d %H:%M}" in problem
    trouble.note(Channel.MQTT, [Delivery(1, Fate.TAKEN)], NOW)
    assert "channel MQTT" not in facts()
