"""Sightings over MQTT: acknowledged once they are committed, and of the device of the topic alone."""

import json
import threading
import time
from contextlib import contextmanager

import pytest

from inventory.sightings.identifiers import Fingerprint, MqttId, Sighting
from renewal.channels.listening import Listener, Malformed
from renewal.channels.seen import Sightings, read
from tests.factories import NOW

TOPIC = "certportal/demo/meter-1/seen"
METER = MqttId("demo", "meter-1")


def test_a_message_speaks_for_the_device_of_its_topic():
    assert read(TOPIC, b"", NOW) == Sighting(NOW, METER, only=METER)
    payload = json.dumps({"sha256": "ab" * 32, "seen_at": "2027-03-01T11:00:00Z"}).encode()
    told = read(TOPIC, payload, NOW)
    assert (told.name, told.only, told.at.hour) == (Fingerprint(b"\xab" * 32), METER, 11)


@pytest.mark.parametrize("payload", [b"{", b"[]", b"\xff", b"7", b"[" * 4000, b" " * 5000 + b"{}", b'{"x": 1}'])
def test_a_message_that_says_nothing_is_malformed(payload):
    with pytest.raises(Malformed):
        read(TOPIC, payload, NOW)


@contextmanager
def listening(broker, record):
    listener = Listener(broker, [Sightings(record)], lambda: NOW)
    errors = []

    def run():
        try:
            listener.run()
        except ConnectionError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield errors
    finally:
        listener.stop()
        thread.join(timeout=60)


def publish(broker, *mqtt_ids, payload=b"{}", retain=False):
    client = broker.client("publisher")
    client.connect(broker.host, broker.port)
    client.loop_start()
    sent = [client.publish(f"certportal/demo/{mqtt_id}/seen", payload, qos=1, retain=retain) for mqtt_id in mqtt_ids]
    for each in sent:
        each.wait_for_publish(60)
    client.disconnect()
    client.loop_stop()


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "It did not happen within a minute."
        time.sleep(0.02)


@pytest.mark.e2e
def test_what_was_told_while_nobody_listened_or_the_database_failed_is_told_again(broker):
    noted = []
    with listening(broker, lambda batch: noted.extend(batch)):
        wait_until(lambda: publish(broker, "first") or noted)
    noted.clear()
    publish(broker, *(f"meter-{number}" for number in range(50)))

    def fail(batch):
        raise ConnectionError("the database is gone")

    with listening(broker, fail) as errors:
        wait_until(lambda: errors)
    with listening(broker, lambda batch: noted.extend(batch)):
        wait_until(lambda: {each.name.mqtt_id for each in noted} >= {f"meter-{number}" for number in range(50)})


@pytest.mark.e2e
def test_nonsense_and_what_was_retained_keep_nothing_up(broker):
    noted = []
    publish(broker, "long-ago", retain=True)
    with listening(broker, lambda batch: noted.extend(batch)):
        wait_until(lambda: publish(broker, "first") or noted)
        publish(broker, *["broken"] * 60, payload=b"{")
        publish(broker, "last")
        wait_until(lambda: any(each.name.mqtt_id == "last" for each in noted))
    assert {each.name.mqtt_id for each in noted} == {"first", "last"}
