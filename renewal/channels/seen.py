"""Sightings over MQTT: what devices, or a broker for them, tell on `certportal/FLEET/MQTT_ID/seen`.

A message is acknowledged once the sighting in it is committed: whatever breaks before that, the broker tells it again.
Who may publish on a topic may speak for its device and no other; the broker's access list holds devices to their own.
"""

import json
import threading
from collections.abc import Callable, Sequence
from datetime import datetime

import paho.mqtt.client as paho
import structlog
from paho.mqtt.reasoncodes import ReasonCode

from inventory.sightings import Sighting, json_reports
from inventory.sightings.identifiers import MqttId
from renewal.channels.mqtt import Broker

log = structlog.get_logger(__name__)

TOPIC = "certportal/+/+/seen"
_CLIENT_ID = "certportal-sightings"
_AT_LEAST_ONCE = 1
_LARGEST_PAYLOAD = 4096
_MOST = 5000
_SECONDS_FOR_MORE = 0.05
_SECONDS_TO_RECONNECT = 5


def read(topic: str, payload: bytes | bytearray, received_at: datetime) -> Sighting:
    """Read a message. Raises Malformed."""
    _, fleet, mqtt_id, _ = topic.split("/")
    if len(payload) > _LARGEST_PAYLOAD:
        raise json_reports.Malformed(
            f"The message has {len(payload)} bytes; a sighting has at most {_LARGEST_PAYLOAD}."
        )
    try:
        row = json.loads(payload) if payload.strip() else {}
    except (ValueError, RecursionError) as error:
        raise json_reports.Malformed("The message is no JSON.") from error
    return json_reports.sighting_of(MqttId(fleet, mqtt_id), row, received_at)


class SightingsListener:
    """Hands what comes to `record`, a batch at a time: whatever came until for a moment nothing did."""

    def __init__(self, broker: Broker, record: Callable[[Sequence[Sighting]], object], now: Callable[[], datetime]):
        self._broker = broker
        self._record = record
        self._now = now
        self._stopping = threading.Event()
        self._sightings: list[Sighting] = []
        self._unacknowledged: list[paho.MQTTMessage] = []

    def run(self) -> None:
        """Listen until `stop` is called. What `record` raises ends it, with nothing of that batch acknowledged."""
        client = self._broker.client(_CLIENT_ID, clean_session=False)
        client.manual_ack_set(True)
        client.on_connect = self._subscribe
        client.on_message = self._take
        while not self._stopping.is_set():
            # The broker sends again what it has no acknowledgement of.
            self._sightings, self._unacknowledged = [], []
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
            self._record(self._sightings)
            for message in self._unacknowledged:
                client.ack(message.mid, message.qos)
            self._sightings, self._unacknowledged = [], []
        return True

    def _subscribe(self, client: paho.Client, _data: object, _flags: object, reason: ReasonCode, *_: object) -> None:
        if reason.is_failure:
            log.error("broker refuses the connection", reason=str(reason))
            return
        client.subscribe(TOPIC, _AT_LEAST_ONCE)

    def _take(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self._unacknowledged.append(message)
        if message.retain:
            # Retained messages are redelivered on every subscription, however old they are.
            return
        try:
            self._sightings.append(read(message.topic, message.payload, self._now()))
        except json_reports.Malformed as error:
            log.warning("sighting refused", topic=message.topic[:200], reason=str(error))
