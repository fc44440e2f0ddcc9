"""Triggers over MQTT through a real broker, that of the demo; and through brokers that are no good."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from renewal.channels.messages import Fate, TriggerMessage
from renewal.channels.mqtt import Broker, MqttChannel, payload, topic
from tests.factories import DAY, NOW

CHECKOUT = Path(__file__).resolve().parents[3]


def message(attempt: int = 1, mqtt_id: str = "meter-1") -> TriggerMessage:
    return TriggerMessage(
        attempt=attempt,
        fleet="demo",
        device=f"M-{mqtt_id}",
        address=mqtt_id,
        campaign=7,
        renew_before="2027-03-31T12:00:00+00:00",
        est_url="https://est.example/demo",
        valid_until=NOW + 30 * DAY,
    )


def channel(to: Broker, **options: float) -> MqttChannel:
    return MqttChannel(to, clock=lambda: NOW, **options)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    port = free_port()
    environment = os.environ | {"CERTPORTAL_DEMO_MQTT_BIND": f"127.0.0.1:{port}"}
    process = subprocess.Popen([sys.executable, "manage.py", "demo_broker"], cwd=CHECKOUT, env=environment)
    try:
        _wait_for(port)
        yield Broker.from_url(f"mqtt://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("The broker did not start within a minute.")


class Subscriber:
    """A device that listens. That brokers keep triggers for one that sleeps is tested on Mosquitto: amqtt does not."""

    def __init__(self, broker: Broker, mqtt_id: str) -> None:
        self.received: list[dict] = []
        self._subscribed = threading.Event()
        self._client = broker.client(mqtt_id, clean_session=False)
        self._client.on_connect = lambda client, *_: client.subscribe(topic("demo", mqtt_id), 1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, got: self.received.append(json.loads(got.payload))
        self._broker = broker

    def wake(self) -> None:
        self._client.connect(self._broker.host, self._broker.port)
        self._client.loop_start()
        assert self._subscribed.wait(60)

    def sleep(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def wait_for(self, number: int) -> list[dict]:
        deadline = time.monotonic() + 60
        while len(self.received) < number and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.received


def test_a_device_gets_its_own_trigger_and_no_other(broker):
    device = Subscriber(broker, "meter-1")
    device.wake()
    deliveries = channel(broker).send([message(1, "meter-2"), message(2, "meter-1")])
    assert {(delivery.attempt, delivery.fate) for delivery in deliveries} == {(1, Fate.TAKEN), (2, Fate.TAKEN)}
    assert device.wait_for(1) == [
        {"campaign": 7, "renew_before": "2027-03-31T12:00:00+00:00", "est_url": "https://est.example/demo"}
    ]
    device.sleep()


def test_a_batch_larger_than_the_window_is_answered_for_each_message(broker):
    batch = [message(attempt, f"meter-{attempt}") for attempt in range(300)]
    deliveries = channel(broker).send(batch)
    assert [delivery.attempt for delivery in deliveries] == list(range(300))
    assert {delivery.fate for delivery in deliveries} == {Fate.TAKEN}


def test_nothing_leaves_for_a_broker_that_is_down():
    gone = Broker.from_url(f"mqtt://127.0.0.1:{free_port()}")
    deliveries = channel(gone).send([message(1), message(2)])
    assert [(each.attempt, each.fate) for each in deliveries] == [(1, Fate.NEVER_LEFT), (2, Fate.NEVER_LEFT)]
    assert all(each.detail.startswith("broker unreachable: ") for each in deliveries)


def test_nothing_leaves_for_a_broker_that_never_answers_and_it_costs_the_patience_once():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dead = Broker.from_url(f"mqtt://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        deliveries = channel(dead, patience=0.5).send([message(attempt) for attempt in range(200)])
        # Once for each message would be 100 s.
        assert time.monotonic() - started < 50
    assert len(deliveries) == 200
    assert {(each.fate, each.detail) for each in deliveries} == {(Fate.NEVER_LEFT, "broker did not answer in 0.5 s")}


class PoorBroker:
    """Speaks MQTT 3.1.1 alone: it refuses MQTT 5, or hangs up on it. Answers a connection with `code`, acknowledges so
    many messages, then says nothing more or hangs up."""

    def __init__(
        self, *, code: int = 0, acknowledges: int = 0, hangs_up: bool = False, refuses_version: bool = True
    ) -> None:
        self.published = 0
        self.client_ids: list[bytes] = []
        self._code = code
        self._acknowledges = acknowledges
        self._hangs_up = hangs_up
        self._refuses_version = refuses_version
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Broker:
        self._thread.start()
        return Broker.from_url(f"mqtt://127.0.0.1:{self._server.getsockname()[1]}")

    def __exit__(self, *_: object) -> None:
        self._thread.join(timeout=60)
        self._server.close()

    def _serve(self) -> None:
        while not self._serve_one():
            pass

    def _serve_one(self) -> bool:
        """Serve a connection; return whether it was one of MQTT 3.1.1."""
        connected, _address = self._server.accept()
        with connected, connected.makefile("rb") as packets:
            while first := packets.read(1):
                length = packets.read(1)[0]
                if length > 127:
                    length += (packets.read(1)[0] - 1) * 128
                body = packets.read(length)
                if first[0] >> 4 == 1:
                    if body[6] == 5:
                        if self._refuses_version:
                            connected.sendall(bytes([0x20, 2, 0, 1]))
                        return False
                    self.client_ids.append(body[12:])
                    connected.sendall(bytes([0x20, 2, 0, self._code]))
                elif first[0] >> 4 == 3:
                    self.published += 1
                    after_topic = 2 + int.from_bytes(body[:2])
                    if self.published <= self._acknowledges:
                        connected.sendall(bytes([0x40, 2]) + body[after_topic : after_topic + 2])
                    elif self._hangs_up:
                        # Closed with bytes unread, the connection would be reset and take what was acknowledged along.
                        connected.shutdown(socket.SHUT_WR)
                        while packets.read(1 << 16):
                            pass
                        return True
        return True


@pytest.mark.parametrize("refuses_version", [True, False])
def test_a_broker_that_knows_no_mqtt_5_is_talked_to_in_3_1_1_under_the_name_of_the_campaign(refuses_version):
    poor = PoorBroker(acknowledges=2, refuses_version=refuses_version)
    with poor as broker:
        deliveries = channel(broker).send([message(1), message(2)])
    assert [each.fate for each in deliveries] == [Fate.TAKEN] * 2
    assert poor.client_ids == [b"certportal-triggers-7"]


def test_nothing_leaves_for_a_broker_that_refuses_the_connection_and_its_reason_is_told():
    with PoorBroker(code=5) as unwilling:
        deliveries = channel(unwilling).send([message(1), message(2)])
    assert {(each.fate, each.detail) for each in deliveries} == {
        (Fate.NEVER_LEFT, "broker refuses the connection: Not authorized")
    }


@pytest.mark.parametrize("hangs_up", [False, True])
def test_a_broker_that_stops_midway_leaves_a_window_in_doubt_and_the_rest_never_left(hangs_up):
    poor = PoorBroker(acknowledges=30, hangs_up=hangs_up)
    with poor as broker:
        deliveries = channel(broker, patience=10).send([message(attempt) for attempt in range(300)])
    fates = [each.fate for each in deliveries]
    assert [each.attempt for each in deliveries] == list(range(300))
    assert fates[:30] == [Fate.TAKEN] * 30
    # Whatever the broker got beyond that is in doubt; it got nothing of what never left.
    assert 30 < poor.published <= fates.index(Fate.NEVER_LEFT) <= 50
    assert set(fates[30 : fates.index(Fate.NEVER_LEFT)]) == {Fate.IN_DOUBT}
    assert set(fates[fates.index(Fate.NEVER_LEFT) :]) == {Fate.NEVER_LEFT}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://broker", Broker("broker", 1883, False, None, None)),
        ("mqtts://broker", Broker("broker", 8883, True, None, None)),
        ("mqtt://user:p%40ss@broker:1884", Broker("broker", 1884, False, "user", "p@ss")),
        ("mqtt://[::1]:1883", Broker("::1", 1883, False, None, None)),
    ],
)
def test_the_address_of_a_broker_is_read(url, expected):
    assert Broker.from_url(url) == expected


@pytest.mark.parametrize(
    "url", ["", "broker:1883", "http://broker", "mqtt://", "mqtt://broker:x", "mqtt://broker:70000"]
)
def test_what_is_no_address_of_a_broker_is_refused(url):
    with pytest.raises(ValueError, match=r"MQTT_URL must look like|[Pp]ort"):
        Broker.from_url(url)


def test_a_trigger_holds_nothing_secret_and_is_small():
    content = payload(message())
    assert json.loads(content).keys() == {"campaign", "renew_before", "est_url"}
    assert len(content) < 200
