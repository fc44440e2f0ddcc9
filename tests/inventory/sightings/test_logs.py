"""What a line of a log says: what the server said itself, and never what a client wrote into it."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.sightings import logs
from inventory.sightings.identifiers import DeviceSerial, Fingerprint, IssuerAndSerial, Sighting

LINE = {
    "msec": "1803902400.250",
    "verify": "SUCCESS",
    "issuer": "CN=Test mfg-1,O=Test",
    "serial": "4F1A",
    "fingerprint": "0123456789abcdef0123456789abcdef01234567",
    "address": "192.0.2.1",
}
AT = datetime.fromtimestamp(1803902400.25, UTC)
NAME = IssuerAndSerial("CN=Test mfg-1,O=Test", "4f1a")
mosquitto = logs.mosquitto("demo")


def line(**changes: object) -> str:
    return json.dumps(LINE | changes)


def test_nginx_names_issuer_and_serial_since_its_fingerprint_is_a_sha1():
    assert logs.nginx(line()) == Sighting(AT, NAME)
    assert logs.nginx(line(msec=1803902400.25)) == Sighting(AT, NAME)
    assert logs.nginx(line(fingerprint="AB" * 32)) == Sighting(AT, Fingerprint(b"\xab" * 32))


@pytest.mark.parametrize(
    "changes",
    [
        {"verify": "NONE"},
        {"verify": "FAILED:certificate has expired"},
        {"verify": True},
        {"msec": ""},
        {"msec": "-1"},
        {"msec": "9" * 12},
        {"msec": "nan"},
        {"serial": ""},
        {"serial": "f" * 41},
        {"issuer": ""},
        {"issuer": "a\0b"},
        {"issuer": "x" * 4609},
    ],
)
def test_a_line_of_nginx_without_a_verified_certificate_says_nothing(changes):
    assert logs.nginx(line(**changes)) is None


@pytest.mark.parametrize("text", ["", "[]", "null", "7", "{", '192.0.2.1 - - "GET / HTTP/1.1" 200', "[" * 100_000])
def test_a_line_of_another_format_says_nothing(text):
    assert logs.nginx(text) is None


# Written by Mosquitto 2.0.11.
CONNECTED = "1803902400: New client connected from 127.0.0.1:33708 as meter-1 (p2, c1, k60, u'SM000001')."


@pytest.mark.parametrize(
    "text",
    [
        CONNECTED,
        CONNECTED.replace("1803902400", "2027-03-01T08:00:00+00:00"),
        CONNECTED.replace("1803902400", "2027-03-01T08:00:00"),
        CONNECTED.replace("as meter-1", "as odd id (x)"),
        CONNECTED.replace(":33708", ""),
    ],
)
def test_mosquitto_names_the_device_by_the_common_name_of_its_certificate(text):
    at = datetime.fromtimestamp(1803902400, UTC) if "2027" not in text else datetime(2027, 3, 1, 8, tzinfo=UTC)
    assert mosquitto(text) == Sighting(at, DeviceSerial("demo", "SM000001"))


@pytest.mark.parametrize(
    "text",
    [
        "1803902400: New connection from 127.0.0.1:33708 on port 8883.",
        "1803902400: Client meter-1 disconnected.",
        "1803902400: New client connected from 127.0.0.1:33708 as meter-1 (p2, c1, k60).",
        CONNECTED.replace("SM000001", "SM 1"),
        CONNECTED.replace("1803902400", "now"),
        # The client id is the client's own choice, and so may be the user name of a listener with passwords.
        CONNECTED.replace("as meter-1", "as x (p2, c1, k60, u'SM000002')."),
        CONNECTED.replace("SM000001", "a (p2, c1, k60, u'SM000002"),
    ],
)
def test_any_other_line_of_mosquitto_says_nothing(text):
    assert mosquitto(text) is None


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n\r")))
def test_a_client_id_cannot_pass_for_another_user(client_id):
    text = CONNECTED.replace("meter-1", client_id)
    assert mosquitto(text) in {None, mosquitto(CONNECTED)}


@given(st.text(), st.text())
def test_what_a_client_sends_cannot_pass_for_what_nginx_verified(address, verify):
    found = logs.nginx(line(address=address, verify=verify))
    assert (found is not None) == (verify == "SUCCESS")


@given(st.text())
def test_no_line_breaks_a_reader(text):
    assert logs.nginx(text) is None or text
    assert mosquitto(text) is None or text
