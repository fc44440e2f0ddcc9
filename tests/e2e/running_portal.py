"""A whole portal of a test's own: started by `manage.py up`, asked over its sockets, stopped by SIGINT."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from certportal import launch
from certportal.embedded import postgres
from tests.e2e.lab import LabDevice
from tests.e2e.ports import free_ports

CHECKOUT = Path(__file__).resolve().parents[2]
FLEET = "demo"
_SECONDS_TO_START = 300
_SECONDS_TO_STOP = 60
_SECONDS_FOR_A_COMMAND = 180
_RUNNING = "certportal is running."
_PASSWORD = "correct-horse-battery"


def until(condition: Callable[[], object], *, seconds: float, what: str) -> None:
    """Return once `condition` is true; fail with `what` after `seconds`."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.1)


def processes_of(home: Path) -> dict[int, str]:
    """Return the command line of each process that belongs to the portal of `home`."""
    found = {}
    mark = str(home).encode()
    for process in Path("/proc").glob("[0-9]*"):
        # It may end while we look, or be another user's, whom we could not have started.
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes()
            # The stores have no environment of ours; their sessions change their command line, but not where they are.
            belongs = mark in command or mark in (process / "environ").read_bytes()
            if belongs or (process / "cwd").readlink().is_relative_to(home):
                found[int(process.name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    found.pop(os.getpid(), None)
    return {pid: command for pid, command in found.items() if command}


@dataclass
class RunningPortal:
    """One home and its four addresses. `start` and `stop` may be called in turn, as an operator would."""

    home: Path
    devices: int
    ports: list[int] = field(default_factory=lambda: free_ports(4))
    settings: Mapping[str, str] = field(default_factory=dict)
    _supervisor: subprocess.Popen[bytes] | None = None

    @property
    def portal_url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def device_address(self) -> tuple[str, int]:
        """Where the device plane listens."""
        return "127.0.0.1", self.ports[1]

    @property
    def device_url(self) -> str:
        return f"https://127.0.0.1:{self.ports[1]}"

    @property
    def est_url(self) -> str:
        return f"{self.device_url}/.well-known/est/{FLEET}"

    @property
    def status_url(self) -> str:
        return f"http://127.0.0.1:{self.ports[2]}"

    @property
    def password(self) -> str:
        return _PASSWORD

    @property
    def root(self) -> Path:
        """The root certificate, which devices trust."""
        return self.home / "tls" / "root.pem"

    @property
    def output(self) -> Path:
        return self.home.with_suffix(".out")

    @property
    def environment(self) -> Mapping[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            # Those of the test run itself name its own stores.
            if not name.startswith(("CERTPORTAL_", "PYTEST_")) and name not in {"DATABASE_URL", "REDIS_URL", "MQTT_URL"}
        }
        portal, device, status, broker = (f"127.0.0.1:{port}" for port in self.ports)
        return {
            **inherited,
            "CERTPORTAL_HOME": str(self.home),
            "CERTPORTAL_PORTAL_BIND": portal,
            "CERTPORTAL_DEVICE_BIND": device,
            "CERTPORTAL_STATUS_BIND": status,
            "CERTPORTAL_DEMO_MQTT_BIND": broker,
            "CERTPORTAL_DEMO_DEVICES": str(self.devices),
            "CERTPORTAL_ADMIN_PASSWORD": _PASSWORD,
            "CERTPORTAL_LAB": "1",
            **self.settings,
        }

    @property
    def supervisor(self) -> int:
        """The process that an operator would press Ctrl-C on."""
        assert self._supervisor is not None
        return self._supervisor.pid

    def start(self) -> None:
        """Return when the portal says that it is running."""
        with self.output.open("wb") as output:
            # It stops by itself when the test process is killed, as one of several is when they are interrupted.
            self._supervisor = launch.start(
                [sys.executable, "manage.py", "up"],
                environment=self.environment,
                death_signal=signal.SIGINT,
                directory=CHECKOUT,
                output=output.fileno(),
                errors=output.fileno(),
            )
        try:
            until(self._runs, seconds=_SECONDS_TO_START, what="The start of the portal")
        except BaseException:
            print(self.output.read_text())  # noqa: T201  (pytest shows it with the failure)
            self.kill()
            raise

    def _runs(self) -> bool:
        assert self._supervisor is not None
        assert self._supervisor.poll() is None, "the supervisor ended"
        return _RUNNING in self.output.read_text()

    def stop(self) -> None:
        """Press Ctrl-C; fail when that leaves a process behind, or does not end by itself."""
        assert self._supervisor is not None
        self._supervisor.send_signal(signal.SIGINT)
        try:
            assert self._supervisor.wait(_SECONDS_TO_STOP) == 0, self.output.read_text()
            assert processes_of(self.home) == {}
        finally:
            self.kill()

    def kill(self) -> None:
        """Leave nothing running, whatever state it is in."""
        assert self._supervisor is not None
        if self._supervisor.poll() is None:
            self._supervisor.kill()
        self._supervisor.wait()
        for pid in processes_of(self.home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def children(self) -> dict[str, int]:
        """Return the process of each child of the supervisor, by its name."""
        started = {}
        for line in self.output.read_text().splitlines():
            name, _, rest = line.partition(": started, process ")
            if rest.isdigit():
                started[name] = int(rest)
        return started

    def manage(self, *words: str, code: int = 0) -> str:
        """Run a command of `manage.py` and return what it says; fail unless it ends with `code`."""
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=CHECKOUT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS_FOR_A_COMMAND,
            check=False,
        )
        assert done.returncode == code, f"manage.py {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def lab_device(self, serial: str, *, expires_in: float | None = 30, validity: float | None = None) -> LabDevice:
        """Make a device with a certificate that ends in `expires_in` days."""
        words = ["--fleet", FLEET, "--out", str(self._lab / serial)]
        if expires_in is not None:
            words += ["--expires-in", str(expires_in)]
        if validity is not None:
            words += ["--validity-days", str(validity)]
        self.manage("lab_device", serial, *words)
        return LabDevice(serial, self._lab / serial)

    def lab_devices(self, serials: Sequence[str], *, expires_in: float = 30) -> list[LabDevice]:
        """Make many devices by one process: to start Django takes longer than all of them."""
        script = (
            "from django.core.management import call_command\n"
            f"for serial in {list(serials)!r}:\n"
            f"    call_command('lab_device', serial, '--fleet', {FLEET!r}, "
            f"'--out', {str(self._lab)!r} + '/' + serial, '--expires-in', '{expires_in}')\n"
        )
        self.manage("shell", "--no-imports", "-c", script)
        return [LabDevice(serial, self._lab / serial) for serial in serials]

    @property
    def _lab(self) -> Path:
        return self.home / "lab"

    def enrolment_secret(self, serial: str) -> str:
        return self.manage("enrolment_secret", serial, "--fleet", FLEET, "--protocol", "est")

    def revoke(self, device: LabDevice, reason: str = "keyCompromise") -> datetime:
        """Revoke the certificate of `device` and return when that was done."""
        self.manage("revoke", "--serial", device.serial_number, "--reason", reason)
        return datetime.now(UTC)

    @contextlib.contextmanager
    def database(self) -> Iterator[psycopg.Connection]:
        where = postgres.django_database(self.home)
        with psycopg.connect(
            host=where["HOST"],
            user=where["USER"],
            password=where["PASSWORD"],
            dbname=where["NAME"],
            autocommit=True,
        ) as connection:
            yield connection

    def rows(self, query: str, *parameters: object) -> list[tuple]:
        """Return what the database says."""
        with self.database() as connection:
            return connection.execute(query, parameters).fetchall()

    def number(self, query: str, *parameters: object) -> int:
        """Return the one number that the database says."""
        [(number,)] = self.rows(query, *parameters)
        return int(number)


@contextlib.contextmanager
def small_disk(at: Path, megabytes: int) -> Iterator[None]:
    """Give `at` a disk of its own, in memory; root only."""
    # Root's database runs as another user, who must pass through.
    options = f"size={megabytes}m,mode=0711"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "certportal-e2e", str(at)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


@contextlib.contextmanager
def running_portal(
    devices: int, *, triggers_per_minute: int, settings: Mapping[str, str] | None = None, disk_megabytes: int = 0
) -> Iterator[RunningPortal]:
    """Run a portal with a demo fleet of `devices` in a home of its own, and stop it at the end.

    `triggers_per_minute` slows the demo's campaign down, so that it still runs when the last test wants to see it.
    `settings` are more of its environment. With `disk_megabytes` its home is on a disk of that size.
    """
    # Short: a socket's path has 107 bytes. Not below pytest's directory, which others may not enter.
    parent = Path(tempfile.mkdtemp(prefix="cp-e2e-"))
    # Root's database runs as another user, who must pass through.
    parent.chmod(0o711 if os.geteuid() == 0 else 0o700)
    portal = RunningPortal(parent / "home", devices, settings=settings or {})
    disk = small_disk(parent, disk_megabytes) if disk_megabytes else contextlib.nullcontext()
    undo = contextlib.ExitStack()
    undo.callback(shutil.rmtree, parent, ignore_errors=True)
    undo.enter_context(disk)
    with undo:
        portal.start()
        try:
            with portal.database() as connection:
                connection.execute("UPDATE renewal_campaign SET triggers_per_minute = %s", [triggers_per_minute])
            yield portal
        finally:
            portal.stop()
