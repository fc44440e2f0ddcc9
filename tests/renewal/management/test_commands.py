"""`lab_device` and `enrolment_secret` as an operator's shell meets them: what they print, and 0, 1 or 2."""

import json
import stat
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.utils import timezone

from inventory.models import Certificate, Device, Profile
from renewal import enrolling
from renewal.models import EnrolmentProtocol, EnrolmentSecret
from tests.factories import DAY, certification_request, device, fleet, profile, root

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def lab(settings):
    settings.LAB = True


def exit_code(name: str, *arguments: str) -> int:
    """Run a command as manage.py does, on the connection of the test, and return the code that a shell would see."""
    command = load_command_class(get_commands()[name], name)
    command._called_from_command_line = True  # type: ignore[attr-defined]
    try:
        options = vars(command.create_parser("manage.py", name).parse_args(arguments))
        command.execute(*options.pop("args", ()), **options)
    except CommandError as error:
        command.stderr.write(f"{type(error).__name__}: {error}")
        return error.returncode
    except SystemExit as ending:
        return int(ending.code or 0)
    return 0


def lab_device(directory: Path, *arguments: str, serial: str = "LAB-1") -> int:
    return exit_code("lab_device", serial, "--fleet", "demo", "--out", str(directory), *arguments)


def leaf(directory: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / "cert.pem").read_bytes())


def test_a_lab_device_comes_with_every_file_a_client_needs(tmp_path):
    fleet()
    assert lab_device(tmp_path / "lab") == 0
    directory = tmp_path / "lab"
    assert {path.name for path in directory.iterdir()} == {
        "key.pem", "cert.pem", "issuer.pem", "chain.pem", "root.pem", "tls-ca.pem",
    }  # fmt: skip
    assert stat.S_IMODE((directory / "key.pem").stat().st_mode) == 0o600
    own_key = load_pem_private_key((directory / "key.pem").read_bytes(), None)
    assert own_key.public_key() == leaf(directory).public_key()
    assert Certificate.objects.get(device__serial="LAB-1").x509 == leaf(directory)
    assert x509.load_pem_x509_certificate((directory / "root.pem").read_bytes()) == root().x509
    subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "chain.pem", "cert.pem"],
        cwd=directory,
        check=True,
        capture_output=True,
    )


@pytest.mark.parametrize("days", ["30", "-1", "0.5"])
def test_a_lab_device_expires_when_it_was_told_to(tmp_path, days):
    profile(jitter_max=30 * DAY)
    fleet()
    assert lab_device(tmp_path / "lab", "--expires-in", days) == 0
    left = leaf(tmp_path / "lab").not_valid_after_utc - timezone.now()
    assert abs(left - timedelta(days=float(days))) < timedelta(minutes=1)


def test_a_validity_of_its_own_changes_no_profile(tmp_path):
    fleet()
    assert lab_device(tmp_path / "lab", "--validity-days", "2") == 0
    left = leaf(tmp_path / "lab").not_valid_after_utc - timezone.now()
    assert abs(left - 2 * DAY) < timedelta(minutes=1)
    assert Profile.objects.get().validity == 365 * DAY


def test_json_is_one_object_of_facts(tmp_path, capsys):
    fleet()
    assert lab_device(tmp_path / "lab", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts.keys() == {"serial", "certificate", "expires", "directory"}
    assert facts["certificate"] == f"{leaf(tmp_path / 'lab').serial_number:x}"


def test_without_the_lab_switch_nothing_is_made(tmp_path, settings, capsys):
    settings.LAB = False
    fleet()
    assert lab_device(tmp_path / "lab") == 1
    assert "set CERTPORTAL_LAB=1" in capsys.readouterr().err
    assert not (tmp_path / "lab").exists()
    assert not Device.objects.exists()


@pytest.mark.parametrize(
    ("serial", "arguments"),
    [
        ("LAB-1", ["--fleet", "nowhere"]),
        ("../etc", []),
        ("x" * 65, []),
        ("TAKEN", []),
        ("LAB-1", ["--validity-days", "0"]),
        ("LAB-1", ["--validity-days", "-5"]),
        ("LAB-1", ["--validity-days", "nan"]),
        ("LAB-1", ["--validity-days", "1e300"]),
        ("LAB-1", ["--expires-in", "-1e9"]),
        ("LAB-1", ["--expires-in", "inf"]),
    ],
)
def test_a_lab_device_that_cannot_be_made_is_a_failure_of_one_line(tmp_path, capsys, serial, arguments):
    device("TAKEN")
    assert lab_device(tmp_path / "lab", *arguments, serial=serial) in (1, 2)
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert error.strip()
    assert not Certificate.objects.of_devices().exists()


def test_an_out_that_is_a_file_is_a_failure_that_makes_no_device(tmp_path, capsys):
    fleet()
    (tmp_path / "lab").write_text("in the way")
    assert lab_device(tmp_path / "lab") == 1
    assert "lab" in capsys.readouterr().err
    assert not Device.objects.exists()


def test_a_secret_is_printed_once_and_works(capsys):
    new = device("SM1")
    assert exit_code("enrolment_secret", "SM1", "--fleet", "demo", "--protocol", "est") == 0
    secret = capsys.readouterr().out.strip()
    assert secret not in str(EnrolmentSecret.objects.values())
    outcome = enrolling.enrol(
        "SM1", secret, certification_request(), label="demo", protocol=EnrolmentProtocol.EST,
        now=timezone.now(), source_address=None,
    )  # fmt: skip
    assert isinstance(outcome, Certificate)
    assert outcome.device == new


def test_a_secret_as_json(capsys):
    device("SM1")
    assert exit_code("enrolment_secret", "SM1", "--fleet", "demo", "--protocol", "scep", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts.keys() == {"serial", "protocol", "secret"}
    assert facts["protocol"] == "scep"


def test_a_secret_for_nobody_is_a_failure(capsys):
    device("SM1")
    for serial, label in (("SM2", "demo"), ("SM1", "other")):
        assert exit_code("enrolment_secret", serial, "--fleet", label, "--protocol", "est") == 1
        assert f"There is no device '{serial}' in fleet '{label}'." in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["enrolment_secret"],
        ["enrolment_secret", "SM1", "--fleet", "demo"],
        ["enrolment_secret", "SM1", "--fleet", "demo", "--protocol", "acme"],
        ["lab_device", "LAB-1"],
        ["lab_device", "LAB-1", "--fleet", "demo", "--out", "lab", "--validity-days", "long"],
        ["lab_device", "LAB-1", "--fleet", "demo", "--out", "lab", "--unknown"],
    ],
)
def test_wrong_use_is_two(arguments):
    assert exit_code(*arguments) == 2


@pytest.mark.parametrize("command", ["enrolment_secret", "lab_device", "demo_broker", "demo_devices"])
def test_help_has_an_example(command, capsys):
    assert exit_code(command, "--help") == 0
    assert f"Example: manage.py {command}" in " ".join(capsys.readouterr().out.split())


def test_called_from_python_a_refusal_is_a_command_error(settings, tmp_path):
    settings.LAB = False
    with pytest.raises(CommandError, match="CERTPORTAL_LAB=1"):
        call_command("lab_device", "LAB-1", fleet="demo", out=tmp_path)
