"""The first start: whatever cuts it off, the next one goes on; done twice it changes nothing."""

import stat
from datetime import timedelta
from itertools import count

import pytest
from cryptography import x509
from django.contrib.auth import authenticate, get_user_model
from django.db import connection

from certportal import first_start
from certportal.gunicorn.device_tls import TlsFiles, context_for
from inventory.models import AuditEvent, Authority, Certificate, Device, Fleet, Purpose
from revocation.models import Crl
from tests.factories import DAY, NOW

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def home(tmp_path, settings):
    settings.HOME = tmp_path
    settings.DEMO_DEVICES = 0
    settings.ADMIN_PASSWORD = ""
    # The real one takes its time on purpose.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return tmp_path


def start(now=NOW) -> list[str]:
    said: list[str] = []
    first_start.prepare(now, said.append)
    return said


def contents() -> dict[str, int]:
    models = (Authority, AuditEvent, Certificate, Crl, Device, Fleet, get_user_model())
    return {model.__name__: model.objects.count() for model in models}


def complete(home) -> None:
    """Everything that a portal needs is there, once, and works."""
    assert list(Authority.objects.order_by("slug").values_list("slug", flat=True)) == ["mfg-1", "root"]
    assert Certificate.objects.filter(purpose=Purpose.AUTHORITY).count() == 2
    context_for(TlsFiles.of(home))
    for authority in Authority.objects.all():
        assert {crl.shard for crl in authority.crls.all()} == {0, None}
        assert (home / "keys" / f"{authority.key_name}.pem").exists()
    password = (home / "admin-password").read_text().strip()
    assert authenticate(username="admin", password=password)


def test_a_production_start_makes_authorities_login_and_crls_and_no_fleet(home):
    said = start()
    complete(home)
    assert not Fleet.objects.exists()
    assert any("First login: user admin" in line for line in said)


def test_a_second_start_changes_nothing_and_says_nothing(home):
    start()
    files = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    before = contents()
    assert start(NOW + timedelta(minutes=5)) == []
    assert contents() == before
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == files


def test_every_file_is_for_its_owner_alone(home):
    start()
    secret = [path for path in home.rglob("*") if path.is_file() and "crl" not in path.parts]
    assert {path.suffix for path in secret} >= {".pem", ".key", ""}
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret if path.suffix in (".pem", ".key", "")} == {0o600}
    assert stat.S_IMODE((home / "keys").stat().st_mode) == 0o700


def test_a_password_of_the_environment_is_used_and_written_nowhere(home, settings):
    settings.ADMIN_PASSWORD = "from the environment"
    assert not any("password" in line for line in start())
    assert authenticate(username="admin", password="from the environment")
    assert not (home / "admin-password").exists()


class CutOff(BaseException):
    pass


def test_a_start_cut_off_before_any_statement_goes_on_at_the_next(home):
    """Every statement that writes is a step; the power goes before each of them in turn."""
    for step in count(1):
        _empty(home)
        left = step

        def cut(execute, sql, params, many, context):
            nonlocal left
            if sql.startswith(("INSERT", "UPDATE", "DELETE")):
                left -= 1
                if left == 0:
                    raise CutOff
            return execute(sql, params, many, context)

        try:
            with connection.execute_wrapper(cut):
                start()
        except CutOff:
            start(NOW + timedelta(minutes=1))
            complete(home)
            continue
        break
    assert step > 12


def _empty(home) -> None:
    """Undo a start. Far faster than `flush`, which empties a hundred tables that a start does not touch."""
    tables = ["certportal_user", "inventory_authority", "inventory_auditevent", "inventory_certificate"]
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(tables)} CASCADE")
    for path in sorted(home.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def test_the_demo_has_a_past_within_its_authorities_and_is_planted_once(home, settings):
    settings.DEMO_DEVICES = 30
    said = start()
    assert any("demo fleet of 30 devices" in line for line in said)
    complete(home)
    assert Device.objects.count() == 30
    issuing = Authority.objects.get(slug="mfg-1").x509
    for certificate in Certificate.objects.of_devices():
        assert issuing.not_valid_before_utc <= certificate.not_before
        assert certificate.not_after <= issuing.not_valid_after_utc
    before = contents()
    start(NOW + DAY)
    assert contents() == before


def test_a_demo_cut_off_while_it_is_planted_is_planted_whole_by_the_next(home, settings):
    settings.DEMO_DEVICES = 30
    (home / "demo").write_text("in the way of the meters' flash")
    with pytest.raises(OSError, match="demo"):
        start()
    assert not Fleet.objects.exists()
    (home / "demo").unlink()
    start()
    assert Device.objects.count() == 30


def test_the_root_is_old_enough_for_the_demo_and_lives_for_years(home, settings):
    settings.DEMO_DEVICES = 30
    start()
    root = x509.load_pem_x509_certificate((home / "tls" / "root.pem").read_bytes())
    assert root.not_valid_before_utc < NOW - 4 * 365 * DAY
    assert root.not_valid_after_utc > NOW + 20 * 365 * DAY
