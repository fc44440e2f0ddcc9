"""The table of processes that `manage.py up` keeps running on one machine."""

import http.client
import os
import signal
import ssl
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from django.conf import settings

from certportal.addresses import Address, AddressRefused, next_free, refuse_busy
from certportal.embedded import stores, valkey
from certportal.supervisor import Child, Stage
from inventory.private_files import write_whole

_PROBE_SECONDS = 2.0


def addresses() -> list[Address]:
    """Return every address that the processes listen on and that the operator chooses: portal, device, status first."""
    listed = [
        Address("CERTPORTAL_PORTAL_BIND", settings.PORTAL_BIND),
        Address("CERTPORTAL_DEVICE_BIND", settings.DEVICE_BIND),
        Address("CERTPORTAL_STATUS_BIND", settings.STATUS_BIND),
    ]
    if _has_demo_broker() and settings.DEMO_MQTT_BIND_SET:
        listed.append(_demo_broker())
    return listed


def settle_demo_broker(say: Callable[[str], None], *, patience: float, clock: Callable[[], float]) -> None:
    """Give the demo's broker another port when somebody has its own, as the system's Mosquitto has the usual one.

    The home remembers it, for other commands and for the next start. An address that the environment sets is kept.
    `patience` is that of `refuse_busy`. Raises AddressRefused when no port nearby is free either.
    """
    if not _has_demo_broker() or settings.DEMO_MQTT_BIND_SET:
        return
    try:
        refuse_busy([_demo_broker()], patience=patience, clock=clock)
    except AddressRefused:
        other = next_free(_demo_broker())
        if other is None:
            raise
        say(f"Somebody else listens on {settings.DEMO_MQTT_BIND}: the demo's MQTT broker takes {other.value}.")
        write_whole(settings.DEMO_MQTT_BIND_MOVED, f"{other.value}\n".encode())


def _demo_broker() -> Address:
    return Address("CERTPORTAL_DEMO_MQTT_BIND", settings.DEMO_MQTT_BIND)


def embedded_stores() -> list[Child]:
    """Return the stores that no URL replaces; the home must have been prepared."""
    children = []
    if not settings.DATABASE_URL:
        children.append(stores.postgres_child(settings.HOME))
    if valkey.url(settings.HOME) == settings.REDIS_URL:
        children.append(stores.valkey_child(settings.HOME))
    return children


def first_start() -> Child:
    """Return the set-up that must have ended well before the portal's own processes start."""
    child = _command("first-start", Stage.WORKERS, "first_start")
    # Progress is shown as it happens, into a pipe too.
    return replace(child, environment={**child.environment, "PYTHONUNBUFFERED": "1"})


def portal_processes() -> list[Child]:
    """Return the portal's own processes."""
    portal, device, status = addresses()[:3]
    children = [
        _plane("portal", partial(_answers_http, portal)),
        _plane("device", partial(_answers_tls, device)),
        _plane("status", partial(_answers_http, status)),
        *(_worker(f"worker-{number}", "--with-scheduler", "urgent", "default") for number in (1, 2)),
        # No CRL, tick or import waits for what takes minutes.
        _worker("worker-bulk", "bulk"),
        _command("cron", Stage.WORKERS, "cron"),
        # Also while no gateway has any: one may be set up at any time.
        _command("receipts", Stage.WORKERS, "listen_receipts"),
    ]
    if settings.MQTT_URL:
        children.append(_command("sightings", Stage.WORKERS, "listen_sightings"))
    if _has_demo_broker():
        children.append(_command("demo-broker", Stage.PLANES, "demo_broker"))
    if settings.DEMO_DEVICES > 0:
        children.append(_command("demo-devices", Stage.WORKERS, "demo_devices"))
    return children


def _has_demo_broker() -> bool:
    return settings.DEMO_DEVICES > 0 and not settings.MQTT_URL


def _plane(name: str, is_ready: Callable[[], bool]) -> Child:
    gunicorn = ("-m", "gunicorn", "-c", f"python:certportal.gunicorn.{name}", f"certportal.wsgi.{name}:application")
    return _python(name, Stage.PLANES, *gunicorn, is_ready=is_ready)


def _worker(name: str, *words: str) -> Child:
    # RQ finishes the job at hand when asked to stop.
    ttl = ("--worker-ttl", str(settings.RQ_WORKER_SECONDS))
    return _command(name, Stage.WORKERS, "rqworker", *ttl, *words, stop_seconds=20)


def _command(name: str, stage: Stage, *words: str, stop_seconds: float = 10) -> Child:
    return _python(name, stage, "-m", "django", *words, stop_seconds=stop_seconds)


def _python(
    name: str, stage: Stage, *words: str, is_ready: Callable[[], bool] | None = None, stop_seconds: float = 10
) -> Child:
    return Child(
        name=name,
        stage=stage,
        argv=(sys.executable, *words),
        environment={**os.environ, "DJANGO_SETTINGS_MODULE": "certportal.settings"},
        # Where the packages are, whether this is a checkout or an installation.
        directory=settings.BASE_DIR,
        is_ready=is_ready,
        stop_signal=signal.SIGTERM,
        stop_seconds=stop_seconds,
    )


def _answers_http(address: Address) -> bool:
    """Tell whether a worker answers, whatever it says: the master alone listens before it has one."""
    connection = http.client.HTTPConnection(*address.host_and_port(), timeout=_PROBE_SECONDS)
    return _answers(connection)


def _answers_tls(address: Address) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # It asks whether someone answers, it sends no secret: whose certificate that is does not matter here.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return _answers(http.client.HTTPSConnection(*address.host_and_port(), timeout=_PROBE_SECONDS, context=context))


def _answers(connection: http.client.HTTPConnection) -> bool:
    try:
        connection.request("GET", "/healthz")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True
