import signal
import threading
from typing import Any

import structlog
from django.core.management.base import BaseCommand
from django.db import close_old_connections, connection
from django.utils import timezone

from inventory.alerts.channels.http import NotSent
from renewal.channels import drivers, receipts, smpp
from renewal.channels.receipts import Receipt
from renewal.channels.sealing import SecretUnreadable
from renewal.models import Driver, Gateway

log = structlog.get_logger(__name__)

_SECONDS_BETWEEN_LOOKS = 30.0


class Command(BaseCommand):
    help = (
        "Hear the delivery receipts of every enabled SMPP gateway, over a session of its own each. "
        "Example: manage.py listen_receipts"
    )

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: stopping.set())
        listen(stopping)


def listen(stopping: threading.Event) -> None:
    """Listen to every enabled SMPP gateway, each on a thread, until `stopping` is set."""
    listening: dict[int, threading.Thread] = {}
    while not stopping.is_set():
        for gateway in Gateway.objects.filter(driver=Driver.SMPP, enabled=True):
            # A session that broke ended its thread: the gateway is looked at anew, with what was set meanwhile.
            if gateway.pk not in listening or not listening[gateway.pk].is_alive():
                thread = threading.Thread(target=_listen, args=(gateway, stopping), daemon=True)
                listening[gateway.pk] = thread
                thread.start()
        stopping.wait(_SECONDS_BETWEEN_LOOKS)
    for thread in listening.values():
        thread.join(timeout=5)


def _listen(gateway: Gateway, stopping: threading.Event) -> None:
    def record(receipt: Receipt) -> None:
        close_old_connections()
        receipts.note(gateway, [receipt], timezone.now())

    def stopped() -> bool:
        now = Gateway.objects.filter(pk=gateway.pk, enabled=True).first()
        return stopping.is_set() or now is None or _set(now) != _set(gateway)

    try:
        smpp.ReceiptListener(drivers.smsc_of(gateway), record, timezone.now).run(stopped)
    except (SecretUnreadable, NotSent, *smpp.BROKEN) as error:
        log.warning("no receipts of a gateway", gateway=gateway.name, reason=str(error) or type(error).__name__)
    finally:
        # This thread's own: it ends here.
        connection.close()


def _set(gateway: Gateway) -> tuple[object, bytes]:
    return gateway.settings, bytes(gateway.sealed_secret or b"")
