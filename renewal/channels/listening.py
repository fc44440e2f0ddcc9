"""What devices tell over MQTT, topic by topic: taken in a batch at a time, acknowledged once it is committed.

Whatever breaks before that, the broker tells it again. Who may publish on a topic may speak for its device and no
other; the broker's access list holds devices to their own.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

import paho.mqtt.client as paho
import structlog
from paho.mqtt.reasoncodes import ReasonCode

from renewal.channels.mqtt import Broker

log = structlog.get_logger(__name__)

_CLIENT_ID = "certportal-sightings"
_AT_LEAST_ONCE = 1
_MOST = 5000
_SECONDS_FOR_MORE = 0.05
_SECONDS_TO_RECONNECT = 5


class Malformed(ValueError):
    """A message that says nothing; the text tells why."""


class Inbox(Protocol):
    """One kind of message. `topic` is what is subscribed to; its last level tells the kinds apart."""

    topic: str

    def read(self, topic: str, payload: bytes | bytearray, received_at: datetime) -> Any:
        """Return what a message tells. Raises Malformed."""

    def record(self, told: Sequence[Any]) -> object:
        """Commit a batch of it."""


class Listener:
    """Hands what comes to the inboxes, a batch at a time: whatever came until for a moment nothing did."""

    def __init__(self, broker: Broker, inboxes: Sequence[Inbox], now: Callable[[], datetime]):
        self._broker = broker
        self._inboxes = {_kind(inbox.topic): inbox for inbox in inboxes}
        self._now = now
        self._stopping = threading.Event()
        self._begin()

    def _begin(self) -> None:
        self._told: dict[str, list[Any]] = {}
        self._unacknowledged: list[paho.MQTTMessage] = []

    def run(self) -> None:
        """Listen until `stop` is called. What an inbox raises ends it, with nothing of that batch acknowledged."""
        client = self._broker.client(_CLIENT_ID, clean_session=False)
        client.manual_ack_set(True)
        client.on_connect = self._subscribe
        client.on_message = self._take
        while not self._stopping.is_set():
            # The broker sends again what it has no acknowledgement of.
            self._begin()
            if self._connect(client):
                while not self._stopping.is_set() and self._go_on(client):
                    pass
            if not self._stopping.is_set():
                self._stopping.wait(_SECONDS_TO_RECONNECT)
        client.disconnect()

    def stop(self) -> None:
        self._stopping.set()

    def _connect(self, client: paho.Client) -> bool:
        try:
            client.connect(self._broker.host, self._broker.port)
        except OSError as error:
            log.warning("broker unreachable", error=str(error))
            return False
        return True

    def _go_on(self, client: paho.Client) -> bool:
        waiting = len(self._unacknowledged)
        if client.loop(timeout=_SECONDS_FOR_MORE if waiting else 1) != paho.MQTT_ERR_SUCCESS:
            return False
        if waiting and (len(self._unacknowledged) == waiting or waiting >= _MOST):
            for kind, told in self._told.items():
                self._inboxes[kind].record(told)
            for message in self._unacknowledged:
                client.ack(message.mid, message.qos)
            self._begin()
        return True

    def _subscribe(self, client: paho.Client, _data: object, _flags: object, reason: ReasonCode, *_: object) -> None:
        if reason.is_failure:
            log.error("broker refuses the connection", reason=str(reason))
            return
        client.subscribe([(inbox.topic, _AT_LEAST_ONCE) for inbox in self._inboxes.values()])

    def _take(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self._unacknowledged.append(message)
        if message.retain:
            # Retained messages are redelivered on every subscription, however old they are.
            return
        kind = _kind(message.topic)
        try:
            told = self._inboxes[kind].read(message.topic, message.payload, self._now())
        except Malformed as error:
            log.warning("message refused", topic=message.topic[:200], reason=str(error))
        else:
            self._told.setdefault(kind, []).append(told)


def _kind(topic: str) -> str:
    return topic.rpartition("/")[2]
