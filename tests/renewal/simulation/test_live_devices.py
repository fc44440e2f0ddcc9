"""A live meter's day: whatever comes over MQTT or EST, it goes on listening."""

import json
import threading
from types import SimpleNamespace

import pytest

from renewal.channels.mqtt import Broker
from renewal.simulation.live_devices import LiveMeters, Meter, _LiveMeter
from renewal.simulation.virtual_device import Flash
from tests.renewal.channels.test_mqtt import free_port

NOWHERE = Broker("127.0.0.1", 1, False, None, None)


@pytest.fixture
def meter(tmp_path) -> Meter:
    return Meter("demo", "meter-1", Flash(tmp_path))


@pytest.fixture
def live(meter, tmp_path) -> _LiveMeter:
    return _LiveMeter(meter, NOWHERE, tmp_path / "root.pem")


def tell(live: _LiveMeter, payload: bytes) -> None:
    live._note_trigger(None, None, SimpleNamespace(payload=payload))


@pytest.mark.parametrize("payload", [b"", b"\xff", b"null", b"[]", b"{}", b'"x"', b'{"est_url"'])
def test_a_trigger_that_cannot_be_read_wakes_nobody(live, payload):
    tell(live, payload)
    assert live._wakes_at is None


@pytest.mark.parametrize("url", ["", "nonsense", 7, None, {}, "http://127.0.0.1:1", "https://127.0.0.1:1/est"])
def test_a_trigger_to_nowhere_is_tried_and_survived(live, url):
    tell(live, json.dumps({"est_url": url}).encode())
    live._wakes_at = 0
    live._wake_if_due()
    assert live._wakes_at is None


def test_a_second_trigger_does_not_put_the_first_off(live):
    trigger = json.dumps({"est_url": "https://127.0.0.1:1/est"}).encode()
    tell(live, trigger)
    first = live._wakes_at
    tell(live, trigger)
    assert live._wakes_at == first


def test_meters_without_a_broker_stop_when_told(meter, tmp_path):
    nobody = Broker("127.0.0.1", free_port(), False, None, None)
    meters = LiveMeters([meter] * 3, nobody, tmp_path / "root.pem")
    running = threading.Thread(target=meters.run)
    running.start()
    meters.stop()
    running.join(timeout=60)
    assert not running.is_alive()
