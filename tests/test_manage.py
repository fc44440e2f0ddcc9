"""`./manage.py` as the handbook writes it, by whatever Python is found first."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_HERE = Path(__file__).resolve().parent.parent
# That of the system, on which the environment of this run is built.
_SYSTEM = Path(sys.base_prefix) / "bin" / "python3"


@pytest.fixture
def checkout(tmp_path):
    shutil.copy(_HERE / "manage.py", tmp_path)
    return tmp_path


def manage(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_SYSTEM, "-I", "manage.py", *words], cwd=checkout, capture_output=True, text=True, timeout=60, check=False
    )


def test_it_goes_on_in_the_environment_that_make_made(checkout):
    own = checkout / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.write_text('#!/bin/sh\necho "own: $*"\n')
    own.chmod(0o755)
    done = manage(checkout, "doctor", "--json")
    assert done.stdout == "own: manage.py doctor --json\n"


def test_without_an_environment_it_says_what_makes_one(checkout):
    done = manage(checkout, "doctor")
    assert done.returncode == 1
    assert "`make run` makes the environment" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_can_be_started_as_written():
    assert (_HERE / "manage.py").stat().st_mode & 0o111
    assert (_HERE / "manage.py").read_text().startswith("#!/usr/bin/env python3\n")
