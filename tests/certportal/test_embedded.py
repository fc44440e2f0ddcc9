"""The embedded stores: first start, next start, start after a crash, and homes in awkward places."""

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest
import redis

from certportal import home, launch
from certportal.embedded import sockets, stores, valkey
from certportal.embedded.postgres import DURABLE, FORGETFUL, ClusterRefused, Postgres, django_database
from certportal.supervisor import Backoff, Supervisor


class Room:
    """A home and the supervisor of its stores."""

    def __init__(self, path: Path) -> None:
        self.path = path
        home.prepare(path)
        self.notices: list[str] = []
        self.supervisor = self._new_supervisor()

    def start_postgres(self, settings: Mapping[str, str] = FORGETFUL) -> None:
        self.supervisor.start([stores.postgres_child(self.path, settings)], within=60)

    def start_valkey(self) -> None:
        self.supervisor.start([stores.valkey_child(self.path)], within=60)

    def stop(self) -> None:
        self.supervisor.stop()
        self.supervisor = self._new_supervisor()

    def query(self, sql: str) -> object:
        with self.connect(**django_database(self.path)) as connection:
            cursor = connection.execute(sql)
            row = cursor.fetchone() if cursor.description else None
        return row and row[0]

    def connect(self, **at: str) -> psycopg.Connection:
        return psycopg.connect(host=at["HOST"], user=at["USER"], password=at["PASSWORD"], dbname=at["NAME"])

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(valkey.url(self.path))

    def _new_supervisor(self) -> Supervisor:
        return Supervisor(self.path / "log", self.notices.append, Backoff(first=0.1))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A home whose first start is done: the cluster takes a second to make and is copied from here."""
    room = Room(tmp_path_factory.mktemp("cluster"))
    room.start_postgres()
    room.query("CREATE TABLE kept AS SELECT 7 AS value")
    room.stop()
    return room.path


@pytest.fixture
def room(cluster, tmp_path):
    made = Room(tmp_path)
    _copy_cluster(cluster, made.path)
    yield made
    made.stop()


def _copy_cluster(source: Path, target: Path) -> None:
    shutil.copytree(source / "postgres", target / "postgres")
    shutil.copy2(source / "postgres-password", target / "postgres-password")
    owner = (source / "postgres").stat()
    for path in [target / "postgres", *(target / "postgres").rglob("*")]:
        os.chown(path, owner.st_uid, owner.st_gid)


def test_the_first_start_makes_a_database_that_the_next_start_finds_again(room):
    room.start_postgres()
    assert room.query("SELECT value FROM kept") == 7
    room.stop()
    room.start_postgres()
    assert room.query("SELECT value FROM kept") == 7


def test_the_portal_is_no_superuser_and_its_text_sorts_by_code_point(room):
    room.start_postgres()
    assert room.query("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    assert room.query("SELECT 'B' < 'a' AND lower('Ä') = 'ä'") is True


def test_data_and_sockets_are_closed_to_others(room):
    room.start_postgres()
    for directory in (room.path / "postgres", sockets.socket_directory(room.path, "postgres")):
        assert directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("user", ["certportal", "postgres"])
def test_nobody_enters_the_database_without_the_password(room, user):
    room.start_postgres()
    at = django_database(room.path)
    for wrong in ("", "guess"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            room.connect(**{**at, "USER": user, "PASSWORD": wrong})
    assert room.query("SELECT current_user") == "certportal"


def test_the_superuser_has_no_password_to_enter_by(room):
    room.start_postgres()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        room.connect(**{**django_database(room.path), "USER": "postgres"})


def test_nobody_enters_the_queue_without_the_password_nor_reconfigures_it(tmp_path):
    made = Room(tmp_path)
    made.start_valkey()
    try:
        stranger = redis.Redis(unix_socket_path=str(valkey.socket_path(tmp_path)))
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        with pytest.raises(redis.exceptions.NoPermissionError):
            made.redis().config_set("dir", "/tmp")
        memory = made.redis().info("memory")
        assert memory["maxmemory"] >= 128 << 20
        assert memory["maxmemory_policy"] == "noeviction"
    finally:
        made.stop()


@pytest.mark.parametrize("store", ["postgres", "valkey"])
def test_passwords_are_for_the_portal_alone_and_the_servers_files_do_not_hold_them(room, store):
    room.start_postgres()
    room.start_valkey()
    kept = room.path / f"{store}-password"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.stat().st_uid == os.geteuid()
    secret = kept.read_bytes().strip()
    files = [path for path in (room.path / store).rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if secret in path.read_bytes()]


def test_a_home_from_before_there_were_passwords_gets_one_by_its_next_start(room):
    rules = room.path / "postgres" / "pg_hba.conf"
    rules.write_text("local all all trust\n")
    (room.path / "postgres-password").unlink()
    room.start_postgres()
    assert room.query("SELECT value FROM kept") == 7
    with pytest.raises(psycopg.OperationalError, match="password"):
        room.connect(**{**django_database(room.path), "PASSWORD": "guess"})


def test_a_password_file_that_was_lost_is_made_anew(room):
    room.start_postgres()
    room.stop()
    (room.path / "postgres-password").unlink()
    room.start_postgres()
    assert room.query("SELECT value FROM kept") == 7


def test_a_killed_server_comes_back_with_what_was_committed(room):
    room.start_postgres(DURABLE)
    room.query("INSERT INTO kept VALUES (8)")
    os.kill(int(room.notices[-1].split()[-1]), signal.SIGKILL)
    _step_until_ready(room)
    assert room.query("SELECT max(value) FROM kept") == 8


def test_a_lock_left_by_a_crash_is_no_obstacle_though_its_number_is_another_process_now(room):
    """In a fresh container process numbers repeat: the lock then names one of our own processes, alive."""
    (room.path / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{room.path}/postgres\n1\n5432\n")
    directory = sockets.make_socket_directory(room.path, "postgres", Postgres(room.path).identity)
    (directory / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    room.start_postgres()
    assert room.query("SELECT value FROM kept") == 7


def test_the_lock_of_a_living_server_is_respected(room):
    room.start_postgres()
    second = Room(room.path)
    second.start_postgres()
    _step_until(second, lambda: any("ended with code 1" in line for line in second.notices))
    second.stop()
    assert room.query("SELECT value FROM kept") == 7


def test_an_interrupted_first_start_is_begun_again(tmp_path):
    draft = tmp_path / "postgres.new"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")
    (draft / "half").write_text("written")
    made = Room(tmp_path)
    made.start_postgres()
    assert made.query("SELECT 1") == 1
    assert not draft.exists()
    made.stop()


def test_a_cluster_of_another_version_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(ClusterRefused, match=r"written by PostgreSQL 17, this release brings 18.*DATABASE_URL"):
        Postgres(tmp_path).prepare()


def test_jobs_survive_a_restart_of_valkey(tmp_path):
    made = Room(tmp_path)
    made.start_valkey()
    made.redis().set("job", "7")
    made.stop()
    made.start_valkey()
    assert made.redis().get("job") == b"7"
    made.stop()


@pytest.mark.parametrize("name", ["x" * 120, "with space", "with,comma", "50% & more?"])
def test_a_home_with_an_awkward_path_is_served(cluster, tmp_path, name):
    path = tmp_path / name
    path.mkdir()
    _copy_cluster(cluster, path)
    made = Room(path)
    try:
        made.start_postgres()
        made.start_valkey()
        assert made.query("SELECT value FROM kept") == 7
        assert made.redis().ping()
    finally:
        made.stop()
        if not str(sockets.socket_directory(path, "postgres")).startswith(str(path)):
            shutil.rmtree(sockets.socket_directory(path, "postgres").parent)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers as another user")
@pytest.mark.parametrize(("mode", "kept"), [(0o755, False), (0o700, True)])
def test_root_runs_servers_as_nobody_with_a_capability_only_below_closed_directories(mode, kept):
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(mode)
        made = Room(Path(directory) / "home")
        made.start_valkey()
        status = Path(f"/proc/{made.notices[-1].split()[-1]}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        made.stop()
    assert fields["Uid"].split() == ["65534"] * 4
    assert fields["Groups"].strip() in {"", "65534"}
    assert fields["CapEff"] == f"{0x2 if kept else 0:016x}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers as another user")
def test_what_root_starts_below_a_closed_directory_can_ask_for_access_there(tmp_path):
    """The tools of PostgreSQL ask access(2) for their binaries, which ignores the capabilities of ordinary users."""
    tmp_path.chmod(0o700)
    tool = tmp_path / "tool"
    tool.touch(mode=0o700)
    identity = launch.unprivileged_identity(tool)
    ask = f"import os, sys; sys.exit(os.getuid() == 0 or not os.access({str(tool)!r}, os.X_OK))"
    launch.run((sys.executable, "-c", ask), identity=identity)


def test_a_short_socket_directory_of_somebody_else_is_refused(tmp_path):
    path = tmp_path / ("x" * 120)
    directory = sockets.socket_directory(path, "postgres").parent
    directory.mkdir(mode=0o777)
    directory.chmod(0o777)
    try:
        with pytest.raises(sockets.SocketDirectoryRefused, match=str(directory)):
            sockets.socket_directory(path, "postgres")
        with pytest.raises(launch.CannotStart, match="nobody else can write to"):
            sockets.make_socket_directory(path, "postgres", None)
    finally:
        directory.rmdir()


def _step_until_ready(room: Room) -> None:
    _step_until(room, Postgres(room.path).is_ready)


def _step_until(room: Room, condition) -> None:
    give_up_at = time.monotonic() + 60
    while True:
        room.supervisor.step(0.05)
        if condition() or time.monotonic() > give_up_at:
            break
    assert condition()
