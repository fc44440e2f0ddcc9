"""Triggers into a real Mosquitto: what its own log says equals what we say."""

import json
import re
import threading
from collections import Counter

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from renewal.channels.messages import Fate
from renewal.channels.mqtt import MqttChannel
from tests.factories import NOW
from tests.renewal.channels.gateways import message

pytestmark = pytest.mark.e2e
_PUBLISH = re.compile(r"Received PUBLISH from (\S+) \(d(\d), q(\d), r(\d), m\d+, 'certportal/demo/(\S+)/renew'")


def channel(broker) -> MqttChannel:
    return MqttChannel(broker, clock=lambda: NOW)


def test_the_broker_took_each_message_once_and_keeps_none_for_strangers(broker, tmp_path):
    deliveries = channel(broker).send([message(attempt, f"meter-{attempt}") for attempt in range(2000)])
    assert Counter(delivery.fate for delivery in deliveries) == {Fate.TAKEN: 2000}
    # MQTT 5 tells that nobody has ever subscribed: a persistent session would have.
    assert {delivery.detail for delivery in deliveries} == {"no device is subscribed to its topic"}
    log = (tmp_path / "mosquitto.log").read_text()
    told = _PUBLISH.findall(log)
    assert Counter(mqtt_id for *_how, mqtt_id in told) == {f"meter-{attempt}": 1 for attempt in range(2000)}
    # Not sent again, at least once, not retained.
    assert {tuple(how) for *how, _mqtt_id in told} == {("certportal-triggers-7", "0", "1", "0")}
    assert re.search(r"as certportal-triggers-7 \(p5,", log)


def test_a_device_that_sleeps_gets_its_trigger_once_and_learns_when_it_expires(broker):
    subscribed, got = threading.Event(), threading.Event()
    received: list[paho.MQTTMessage] = []
    device = broker.client("meter-1", version=MQTTProtocolVersion.MQTTv5)
    properties = paho.Properties(paho.PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    device.on_connect = lambda client, *_: client.subscribe("certportal/demo/meter-1/renew", 1)
    device.on_subscribe = lambda *_: subscribed.set()

    def take(_client, _data, each) -> None:
        received.append(each)
        got.set()

    device.on_message = take

    def wake(clean: bool) -> None:
        device.connect(broker.host, broker.port, clean_start=clean, properties=properties)
        device.loop_start()

    def sleep() -> None:
        device.disconnect()
        device.loop_stop()

    wake(clean=True)
    assert subscribed.wait(60)
    sleep()
    [delivery] = channel(broker).send([message(1, "meter-1")])
    assert (delivery.fate, delivery.detail) == (Fate.TAKEN, "")
    wake(clean=False)
    assert got.wait(60)
    sleep()
    [trigger] = received
    assert json.loads(trigger.payload)["campaign"] == 7
    assert 24 * 3600 - 600 < trigger.properties.MessageExpiryInterval <= 24 * 3600
