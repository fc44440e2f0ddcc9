"""What a row of JSON says, or why it says nothing."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.sightings import json_reports
from inventory.sightings.identifiers import DeviceSerial, Fingerprint, IssuerAndSerial, MqttId, Sighting

AT = "2027-03-01T13:00:00+01:00"
MOMENT = datetime(2027, 3, 1, 12, tzinfo=UTC)
METER = MqttId("demo", "meter-1")


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"sha256": "AB:" * 31 + "ab"}, Fingerprint(b"\xab" * 32)),
        ({"issuer": "mfg-1", "serial": "00:4F:1a"}, IssuerAndSerial("mfg-1", "4f1a")),
        ({"issuer": "CN=Zähler,O=Test", "serial": "1"}, IssuerAndSerial("CN=Zähler,O=Test", "1")),
        ({"fleet": "demo", "device": "SM000001"}, DeviceSerial("demo", "SM000001")),
    ],
)
def test_a_row_names_a_certificate_or_a_device(fields, name):
    assert json_reports.sighting({"seen_at": AT, **fields}) == Sighting(MOMENT, name)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (None, "JSON object"),
        ([], "JSON object"),
        ({}, "seen_at is missing"),
        ({"seen_at": "2027-03-01T12:00:00", "sha256": "ab" * 32}, "with its offset"),
        ({"seen_at": "yesterday", "sha256": "ab" * 32}, "with its offset"),
        ({"seen_at": "0001-01-01T00:00:00+14:00", "sha256": "ab" * 32}, "with its offset"),
        ({"seen_at": 1_800_000_000, "sha256": "ab" * 32}, "with its offset"),
        ({"seen_at": AT}, "Name a certificate"),
        ({"seen_at": AT, "sha256": "ab" * 20}, "64 hexadecimal digits"),
        ({"seen_at": AT, "sha256": 7}, "64 hexadecimal digits"),
        ({"seen_at": AT, "issuer": "mfg-1"}, "Name a certificate"),
        ({"seen_at": AT, "issuer": "mfg-1", "serial": "0"}, "at most 20 octets"),
        ({"seen_at": AT, "issuer": "mfg-1", "serial": "f" * 41}, "at most 20 octets"),
        ({"seen_at": AT, "issuer": "a\0", "serial": "1"}, "slug or the subject"),
        ({"seen_at": AT, "issuer": "\ud800", "serial": "1"}, "slug or the subject"),
        ({"seen_at": AT, "fleet": "de mo", "device": "x"}, "label of a fleet"),
        ({"seen_at": AT, "fleet": "demo", "device": "=1+1"}, "serial number of a device"),
        ({"seen_at": AT, "sha256": "ab" * 32, "fleet": "demo", "device": "x"}, "Name a certificate"),
        ({"seen_at": AT, "sha256": "ab" * 32, "alive": True}, "alive: no field"),
    ],
)
def test_a_row_that_says_no_sighting_says_why(row, reason):
    with pytest.raises(json_reports.Malformed, match=reason):
        json_reports.sighting(row)


def test_a_device_needs_to_say_neither_its_name_nor_the_time():
    assert json_reports.sighting_of(METER, {}, MOMENT) == Sighting(MOMENT, METER, only=METER)
    told = json_reports.sighting_of(METER, {"sha256": "ab" * 32, "seen_at": AT}, datetime(2028, 1, 1, tzinfo=UTC))
    assert told == Sighting(MOMENT, Fingerprint(b"\xab" * 32), only=METER)
    with pytest.raises(json_reports.Malformed, match="said by the topic"):
        json_reports.sighting_of(METER, {"fleet": "other", "device": "x"}, MOMENT)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
ROWS = st.dictionaries(
    st.sampled_from(["seen_at", "sha256", "issuer", "serial", "fleet", "device"]),
    st.sampled_from([AT, "ab" * 32, "mfg-1", "4f1a", "\ud800", "\0"]) | JSON,
)


@given(JSON | ROWS)
def test_whatever_comes_is_a_sighting_that_can_be_written_down_or_malformed(row):
    try:
        sighting = json_reports.sighting(row)
    except json_reports.Malformed as error:
        assert str(error).rstrip().endswith(".")
        return
    assert sighting.at.tzinfo is UTC
    assert "\0" not in str(sighting.name)
    assert json.loads(json.dumps(str(sighting.name).encode().decode()))
