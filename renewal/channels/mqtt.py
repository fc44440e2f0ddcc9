"""Triggers over MQTT: one topic a device, at least once, kept by the broker for a device that sleeps.

MQTT 5 where the broker speaks it: a trigger expires with its certificate. Else 3.1.1, where the broker keeps it.
"""

import json
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from renewal.channels.messages import Delivery, Fate, TriggerMessage, never_left

_CONNECT_SECONDS = 5
_PUBLISH_SECONDS = 30
# So many messages may be unacknowledged at a time: what goes wrong leaves no more than these in doubt. Mosquitto allows
# a client of MQTT 5 as many, and more are no faster.
_WINDOW = 20
# So many are handed to the client library at a time: the identifiers of packets have 16 bits.
_LARGEST_BATCH = 20_000
_SECONDS_BETWEEN_LOOKS = 0.2
_AT_LEAST_ONCE = 1
# Reasons of CONNACK (MQTT 5, 3.2.2.2) by which a broker says that it does not speak this version; 0x01 is of 3.1.1.
_OTHER_VERSION = frozenset({0x01, 0x84})
_NO_SUBSCRIBER = 0x10  # of PUBACK: taken, and for nobody
_LONGEST_EXPIRY = 0xFFFFFFFF


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

    def client(
        self,
        client_id: str = "",
        *,
        clean_session: bool = True,
        version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
    ) -> paho.Client:
        """Return an unconnected client for this broker. A session of MQTT 5 ends with its connection."""
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=version,
            clean_session=clean_session if version == MQTTProtocolVersion.MQTTv311 else None,
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

    def __init__(self, broker: Broker, clock: Callable[[], datetime], patience: float = _PUBLISH_SECONDS) -> None:
        """`patience`: how many seconds the broker may say nothing. `clock` says how long a message is still valid."""
        self._broker = broker
        self._patience = patience
        self._clock = clock

    def send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        # One campaign ticks once at a time: its name is never used twice at once, and brokers know it again.
        client_id = f"certportal-triggers-{messages[0].campaign}" if messages else ""
        for version in (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311):
            client = self._broker.client(client_id, version=version)
            client.connect_timeout = _CONNECT_SECONDS
            client.max_inflight_messages_set(_WINDOW)
            answer = _Answer()
            client.on_connect, client.on_disconnect = answer.take, answer.hung_up
            try:
                client.connect(self._broker.host, self._broker.port)
            except OSError as error:
                return never_left(messages, f"broker unreachable: {error}")
            client.loop_start()
            try:
                problem = answer.problem(min(self._patience, _CONNECT_SECONDS))
                if not problem:
                    return self._publish_all(client, messages)
            finally:
                client.disconnect()
                client.loop_stop()
            if not answer.speaks_another_version:
                break
        return never_left(messages, problem)

    def _publish_all(self, client: paho.Client, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        deliveries: list[Delivery] = []
        for start in range(0, len(messages), _LARGEST_BATCH):
            batch = messages[start : start + _LARGEST_BATCH]
            deliveries += self._publish(client, batch)
            if deliveries[-1].fate != Fate.TAKEN:
                return [*deliveries, *never_left(messages[start + len(batch) :], _STOPPED)]
        return deliveries

    def _publish(self, client: paho.Client, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        acknowledged = _Acknowledged(len(messages))
        client.on_publish = acknowledged.take
        handed: list[paho.MQTTMessageInfo] = []
        for message in messages:
            info = client.publish(
                topic(message.fleet, message.address),
                payload(message),
                _AT_LEAST_ONCE,
                properties=self._expiry(client, message),
            )
            if info.rc != paho.MQTT_ERR_SUCCESS:
                break
            handed.append(info)
        # A broker that is slow is in no trouble: each acknowledgement gives it new patience.
        seen, deadline = 0, time.monotonic() + self._patience
        while not acknowledged.all_came(_SECONDS_BETWEEN_LOOKS) and client.is_connected():
            if acknowledged.number > seen:
                seen, deadline = acknowledged.number, time.monotonic() + self._patience
            elif time.monotonic() >= deadline:
                break
        if acknowledged.number < len(messages):
            # From here on nothing more leaves: what is counted below is final.
            client.disconnect()
            client.loop_stop()
        # They leave in their order, and no more than a window ahead of what is acknowledged, which comes in that order.
        may_have_left = acknowledged.number + client.max_inflight_messages
        problem = f"no acknowledgement in {self._patience:g} s"
        return [
            *(
                acknowledged.delivery(message.attempt, info.mid) or Delivery(message.attempt, Fate.IN_DOUBT, problem)
                for message, info in zip(messages[:may_have_left], handed, strict=False)
            ),
            *never_left(messages[min(len(handed), may_have_left) :], _STOPPED),
        ]

    def _expiry(self, client: paho.Client, message: TriggerMessage) -> Properties | None:
        if client.protocol != MQTTProtocolVersion.MQTTv5:
            return None
        return _expiring_in(max((message.valid_until - self._clock()) // timedelta(minutes=1), 1))


@lru_cache(maxsize=100_000)
def _expiring_in(minutes: int) -> Properties:
    """Return the properties of a message that the broker drops after a while (3.3.2.3.3); nobody may change them.

    Making them takes longer than sending the message: those of one minute share theirs.
    """
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.MessageExpiryInterval = min(minutes * 60, _LONGEST_EXPIRY)
    return properties


_STOPPED = "broker stopped acknowledging"


class _Answer:
    """What the broker says to a connection; it comes on the client's own thread."""

    def __init__(self) -> None:
        self._came = threading.Event()
        self._refusal = ""
        self.speaks_another_version = False

    def take(
        self, _client: paho.Client, _data: object, _flags: object, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._refusal = f"broker refuses the connection: {reason}"
            self.speaks_another_version = reason.value in _OTHER_VERSION
        elif (allowed := getattr(properties, "ReceiveMaximum", _WINDOW)) < _WINDOW:
            # 3.2.2.3.3: more unacknowledged messages would end the connection. 3.1.1 knows no such limit.
            self._refusal = f"broker allows {allowed} unacknowledged messages"
            self.speaks_another_version = True
        self._came.set()

    def hung_up(self, *_: object) -> None:
        """A broker that knows no MQTT 5 may say nothing and hang up (MQTT 3.1.1, 3.1.2.2)."""
        if not self._came.is_set():
            self._refusal = "broker hung up"
            self.speaks_another_version = True
            self._came.set()

    def problem(self, patience: float) -> str:
        """Wait for the answer, at most `patience` seconds; return why the connection is no good, empty when it is."""
        return self._refusal if self._came.wait(patience) else f"broker did not answer in {patience:g} s"


class _Acknowledged:
    """What the broker says to each message; it comes on the client's own thread."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._reasons: dict[int, ReasonCode] = {}
        self._all = threading.Event()

    @property
    def number(self) -> int:
        return len(self._reasons)

    def take(
        self, _client: paho.Client, _data: object, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._reasons[mid] = reason
        if len(self._reasons) == self._expected:
            self._all.set()

    def all_came(self, seconds: float) -> bool:
        return self._all.wait(seconds)

    def delivery(self, attempt: int, mid: int) -> Delivery | None:
        """Return what became of a message, None when the broker did not say."""
        reason = self._reasons.get(mid)
        if reason is None:
            return None
        if reason.is_failure:
            return Delivery(attempt, Fate.NEVER_LEFT, f"broker refuses the message: {reason}"[:200])
        nobody = "no device is subscribed to its topic" if reason.value == _NO_SUBSCRIBER else ""
        return Delivery(attempt, Fate.TAKEN, nobody)
