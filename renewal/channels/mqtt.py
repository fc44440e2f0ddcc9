"""Triggers over MQTT: one topic a device, at least once, kept by the broker for a device that sleeps."""

import json
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from renewal.channels.messages import Delivery, TriggerMessage

_CONNECT_SECONDS = 5
_PUBLISH_SECONDS = 30
_AT_LEAST_ONCE = 1


def topic(fleet: str, mqtt_id: str) -> str:
    """Return the topic that a device subscribes to for its renewal triggers."""
    return f"certportal/{fleet}/{mqtt_id}/renew"


def payload(message: TriggerMessage) -> bytes:
    """Return the JSON that a device gets. Fields may be added; these stay."""
    return json.dumps(
        {"campaign": message.campaign, "renew_before": message.renew_before, "est_url": message.est_url}
    ).encode()


@dataclass(frozen=True)
class Broker:
    """Where a broker is and how to log in to it."""

    host: str
    port: int
    tls: bool
    username: str | None
    password: str | None

    @classmethod
    def from_url(cls, url: str) -> "Broker":
        """Read `mqtt[s]://[user:password@]host[:port]`. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError("MQTT_URL must look like mqtt[s]://[user:password@]host[:port].")
        tls = parts.scheme == "mqtts"
        return cls(
            host=parts.hostname,
            port=parts.port or (8883 if tls else 1883),
            tls=tls,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )

    def client(self, client_id: str = "", *, clean_session: bool = True) -> paho.Client:
        """Return an unconnected client for this broker."""
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv311, clean_session=clean_session
        )
        if self.username:
            client.username_pw_set(self.username, self.password)
        if self.tls:
            client.tls_set_context(ssl.create_default_context())
        return client


def why_unreachable(broker: Broker, patience: float) -> str:
    """Log in to `broker` and leave again; return why that failed within `patience` seconds, or nothing."""
    client = broker.client()
    client.connect_timeout = patience
    answers: list[ReasonCode] = []
    client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.append(reason)
    try:
        client.connect(broker.host, broker.port)
        deadline = time.monotonic() + patience
        while not answers and time.monotonic() < deadline and client.loop(timeout=0.1) == paho.MQTT_ERR_SUCCESS:
            pass
    except OSError as error:
        return str(error)
    finally:
        client.disconnect()
    if not answers:
        return f"no answer in {patience:g} s"
    return str(answers[0]) if answers[0].is_failure else ""


class MqttChannel:
    """Publishes over one connection a batch and waits until the broker has taken charge of each message."""

    def __init__(self, broker: Broker, patience: float = _PUBLISH_SECONDS) -> None:
        """`patience`: how many seconds a batch may take."""
        self._broker = broker
        self._patience = patience

    def send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        client = self._broker.client()
        client.connect_timeout = _CONNECT_SECONDS
        # The inflight window bounds memory, not the batch: all are queued and drained by the network thread.
        client.max_inflight_messages_set(100)
        try:
            client.connect(self._broker.host, self._broker.port)
        except OSError as error:
            return [Delivery(message.attempt, False, f"broker unreachable: {error}"[:200]) for message in messages]
        client.loop_start()
        try:
            published = [
                (message, client.publish(topic(message.fleet, message.mqtt_id), payload(message), _AT_LEAST_ONCE))
                for message in messages
            ]
            deadline = time.monotonic() + self._patience
            return [self._delivery(message, info, deadline) for message, info in published]
        finally:
            client.disconnect()
            client.loop_stop()

    def _delivery(self, message: TriggerMessage, info: paho.MQTTMessageInfo, deadline: float) -> Delivery:
        try:
            info.wait_for_publish(max(deadline - time.monotonic(), 0.001))
        except (RuntimeError, ValueError) as error:
            return Delivery(message.attempt, False, str(error)[:200])
        accepted = info.is_published()
        return Delivery(message.attempt, accepted, "" if accepted else f"no acknowledgement in {self._patience:g} s")
