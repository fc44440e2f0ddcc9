"""The API does what its description says, whatever is sent: schemathesis makes requests up and looks for faults."""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from certportal.api.scopes import Resource
from tests.e2e.running_portal import running_portal

pytestmark = pytest.mark.long(430)
_HERE = Path(__file__).parent
# Of each operation, beside one of each kind of fault that its description allows: those it makes up by itself.
_EXAMPLES = 10
_SECONDS = 3600


@pytest.fixture(scope="module")
def portal():
    """A portal of its own, since everything that can be written is: and as many requests as its machine can take."""
    names = ("CERTPORTAL_API_REQUESTS_PER_MINUTE", "CERTPORTAL_API_ANONYMOUS_REQUESTS_PER_MINUTE")
    many = dict.fromkeys(names, "1000000")
    with running_portal(devices=40, triggers_per_minute=36, settings=many) as started:
        yield started


@pytest.fixture
def token(portal) -> str:
    scopes = [word for resource in Resource.values for word in ("--scope", f"{resource}:write")]
    return portal.manage("api_token", "admin", "--name", "schemathesis", *scopes).splitlines()[-1]


def test_schemathesis_finds_nothing(portal, token, tmp_path):
    program = Path(sys.executable).with_name("st")
    assert program.exists(), "schemathesis is missing: make installs it with requirements-dev.lock"
    # It is made for the first who asks, which takes longer than schemathesis waits on a busy machine.
    asked = urllib.request.Request(f"{portal.portal_url}/api/schema/", headers={"Authorization": f"Bearer {token}"})  # noqa: S310  (our own address)
    with urllib.request.urlopen(asked, timeout=300) as answer:  # noqa: S310  (our own address)
        assert answer.status == 200
    done = subprocess.run(
        [
            program,
            "--config-file",
            _HERE / "schemathesis.toml",
            "run",
            f"{portal.portal_url}/api/schema/",
            "--header",
            f"Authorization: Bearer {token}",
            "--max-examples",
            str(_EXAMPLES),
            "--no-color",
        ],
        # Where it keeps what it found.
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(_HERE)},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUMMARY" in done.stdout
