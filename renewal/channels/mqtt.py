"""Triggers over MQTT: one topic a device, at least once, kept by the broker for a device that sleeps."""

import json
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from renewal.channels.messages import Delivery, Fate, TriggerMessage

_CONNECT_SECONDS = 5
_PUBLISH_SECONDS = 30
# So many messages may be unacknowledged at a time: what goes wrong leaves no more than these in doubt.
_WINDOW = 100
_SECONDS_BETWEEN_LOOKS = 0.2
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
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv311,
            clean_session=clean_session,
            # A batch over a second connection would be one of which nobody knows what left over the first.
            reconnect_on_failure=False,
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
        client.max_inflight_messages_set(_WINDOW)
        answer = _Answer()
        client.on_connect = answer.take
        try:
            client.connect(self._broker.host, self._broker.port)
        except OSError as error:
            return _never_left(messages, f"broker unreachable: {error}")
        client.loop_start()
        try:
            problem = answer.problem(min(self._patience, _CONNECT_SECONDS))
            return _never_left(messages, problem) if problem else self._publish(client, messages)
        finally:
            client.disconnect()
            client.loop_stop()

    def _publish(self, client: paho.Client, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        deadline = time.monotonic() + self._patience
        handed: list[paho.MQTTMessageInfo] = []
        for message in messages:
            if len(handed) >= _WINDOW and not _taken(client, handed[-_WINDOW], deadline):
                break
            info = client.publish(topic(message.fleet, message.address), payload(message), _AT_LEAST_ONCE)
            if info.rc != paho.MQTT_ERR_SUCCESS:
                break
            handed.append(info)
        problem = f"no acknowledgement in {self._patience:g} s"
        return [
            *(
                Delivery(message.attempt, Fate.TAKEN)
                if _taken(client, info, deadline)
                else Delivery(message.attempt, Fate.IN_DOUBT, problem)
                for message, info in zip(messages, handed, strict=False)
            ),
            *_never_left(messages[len(handed) :], "broker stopped acknowledging"),
        ]


class _Answer:
    """What the broker says to a connection; it comes on the client's own thread."""

    def __init__(self) -> None:
        self._came = threading.Event()
        self._refusal = ""

    def take(self, _client: paho.Client, _data: object, _flags: object, reason: ReasonCode, *_: object) -> None:
        self._refusal = f"broker refuses the connection: {reason}" if reason.is_failure else ""
        self._came.set()

    def problem(self, patience: float) -> str:
        """Wait for the answer, at most `patience` seconds; return why the connection is no good, empty when it is."""
        return self._refusal if self._came.wait(patience) else f"broker did not answer in {patience:g} s"


def _taken(client: paho.Client, info: paho.MQTTMessageInfo, deadline: float) -> bool:
    """Wait until the broker took charge of a message, it is too late, or the connection is gone."""
    while not info.is_published() and client.is_connected() and (left := deadline - time.monotonic()) > 0:
        info.wait_for_publish(min(left, _SECONDS_BETWEEN_LOOKS))
    return info.is_published()


def _never_left(messages: Sequence[TriggerMessage], reason: str) -> list[Delivery]:
    return [Delivery(message.attempt, Fate.NEVER_LEFT, reason[:200]) for message in messages]
