"""The embedded stores as children of a supervisor."""

import signal
from collections.abc import Mapping
from pathlib import Path

from certportal import launch
from certportal.embedded.postgres import DURABLE, Postgres
from certportal.embedded.valkey import Valkey
from certportal.supervisor import Child, Stage


def postgres_child(home: Path, settings: Mapping[str, str] = DURABLE) -> Child:
    """Return the PostgreSQL of `home`, which must have been prepared."""
    server = Postgres(home, settings)
    return Child(
        name="postgres",
        stage=Stage.DATABASE,
        argv=server.argv(),
        environment=launch.minimal_environment(),
        identity=server.identity,
        prepare=server.prepare,
        is_ready=server.is_ready,
        # Fast shutdown: PostgreSQL takes SIGTERM as a request to wait for every session to leave by itself.
        stop_signal=signal.SIGINT,
        stop_seconds=60,
    )


def valkey_child(home: Path) -> Child:
    """Return the Valkey of `home`, which must have been prepared."""
    server = Valkey(home)
    return Child(
        name="valkey",
        stage=Stage.QUEUE,
        argv=server.argv(),
        environment=launch.minimal_environment(),
        identity=server.identity,
        prepare=server.prepare,
        is_ready=server.is_ready,
    )
