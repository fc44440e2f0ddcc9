"""django-ca beside us: an environment of its own, the same PostgreSQL, one process that issues when it is told."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from django.conf import settings
from django.db import connection

_REQUIREMENTS = ("django-ca==3.2.0", "psycopg[binary]==3.3.9", "cryptography==50.0.2")
_PROGRAM = Path(__file__).parent / "peers" / "issue_with_django_ca.py"


class Peer:
    """A running process of django-ca."""

    def __init__(self, asked: IO[str], answered: IO[str]) -> None:
        self._asked, self._answered = asked, answered

    def issue(self, count: int, clients: int) -> float:
        """Let it issue `count` certificates in each of `clients` threads, and return the seconds that it took."""
        self._asked.write(f"{count} {clients}\n")
        self._asked.flush()
        return float(self._answered.readline())


@contextlib.contextmanager
def running() -> Iterator[Peer]:
    """Run django-ca with a P-256 authority, its key in a file, and a database of its own in our server."""
    python = _environment()
    where = settings.DATABASES["default"]
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE django_ca")
    keys = settings.HOME / "django-ca"
    keys.mkdir()
    command = [str(python), str(_PROGRAM), str(where["HOST"]), str(where["USER"]), "django_ca", str(keys)]
    # Not an argument: those are seen by everybody on the machine.
    environment = {**os.environ, "PGPASSWORD": where["PASSWORD"]}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n", "django-ca did not start; its own words are above."
        yield Peer(process.stdin, process.stdout)
        process.stdin.close()


def _environment() -> Path:
    """Return the Python of the peer's environment, which the first run makes."""
    directory = settings.HOME.parent / "django-ca-3.2.0"
    python = directory / "bin" / "python"
    ready = directory / "ready"
    if not ready.exists():
        print("Installing django-ca beside the portal, once ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
        install = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *_REQUIREMENTS]
        subprocess.run(install, check=True)
        ready.touch()
    return python
