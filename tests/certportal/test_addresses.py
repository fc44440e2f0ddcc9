import socket

import pytest

from certportal.addresses import Address, AddressRefused, next_free, refuse_busy


@pytest.fixture
def busy():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_busy_address_names_the_variable_to_change(busy):
    with pytest.raises(AddressRefused, match=f"Cannot listen on {busy}: .*set CERTPORTAL_PORTAL_BIND to another"):
        refuse_busy([Address("CERTPORTAL_PORTAL_BIND", busy)], patience=0, clock=lambda: 0.0)


def test_patience_ends(busy):
    times = iter([0.0, 1.0, 2.0])
    with pytest.raises(AddressRefused):
        refuse_busy([Address("X", busy)], patience=2.0, clock=lambda: next(times))
    assert list(times) == []


@pytest.mark.parametrize("value", ["8000", "localhost:", "localhost:http", "127.0.0.1:70000", ":8000", "a:0"])
def test_an_address_that_is_none_names_its_variable(value):
    with pytest.raises(AddressRefused, match=r"CERTPORTAL_STATUS_BIND is .*; it must read HOST:PORT"):
        Address("CERTPORTAL_STATUS_BIND", value).host_and_port()


def test_an_ipv6_address_loses_its_brackets():
    assert Address("X", "[::1]:8443").host_and_port() == ("::1", 8443)


def test_the_next_free_port_passes_over_those_that_are_taken(busy):
    host, port = Address("X", busy).host_and_port()
    found = next_free(Address("X", f"{host}:{port - 1}"))
    assert found
    assert found.host_and_port()[1] > port


def test_where_all_ports_nearby_are_taken_there_is_none(busy):
    host, port = Address("X", busy).host_and_port()
    assert next_free(Address("X", f"{host}:{port - 1}"), most=1) is None
    assert next_free(Address("X", f"{host}:65535")) is None
