"""Where the processes listen: the demo moves out of the way of others, what an operator chose stays."""

import socket

import pytest

from certportal import processes
from certportal.addresses import AddressRefused, refuse_busy


@pytest.fixture
def demo(settings, tmp_path):
    """Somebody else has the port of the demo's broker."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings.DEMO_DEVICES = 10
        settings.MQTT_URL = ""
        settings.DEMO_MQTT_BIND = f"127.0.0.1:{other.getsockname()[1]}"
        settings.DEMO_MQTT_BIND_SET = False
        settings.DEMO_MQTT_BIND_MOVED = tmp_path / "demo-broker-address"
        yield settings


def settle() -> list[str]:
    said: list[str] = []
    processes.settle_demo_broker(said.append, patience=0, clock=lambda: 0.0)
    return said


def test_the_demo_broker_takes_another_port_says_so_and_remembers_it(demo):
    [line] = settle()
    moved = demo.DEMO_MQTT_BIND_MOVED.read_text().strip()
    assert moved in line
    assert demo.DEMO_MQTT_BIND in line
    assert moved != demo.DEMO_MQTT_BIND


def test_a_later_start_listens_where_it_went_and_says_nothing(demo):
    settle()
    demo.DEMO_MQTT_BIND = demo.DEMO_MQTT_BIND_MOVED.read_text().strip()
    assert settle() == []


def test_an_address_that_the_operator_set_is_refused_instead(demo):
    demo.DEMO_MQTT_BIND_SET = True
    assert settle() == []
    assert not demo.DEMO_MQTT_BIND_MOVED.exists()
    with pytest.raises(AddressRefused, match="CERTPORTAL_DEMO_MQTT_BIND"):
        refuse_busy(processes.addresses()[3:], patience=0, clock=lambda: 0.0)


def test_without_a_demo_nobody_looks(demo):
    demo.DEMO_DEVICES = 0
    assert settle() == []
