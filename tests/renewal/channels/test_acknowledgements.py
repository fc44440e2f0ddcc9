"""Acknowledgements of devices: of the device of the topic, and of no other."""

import json

import pytest

from renewal.channels.acknowledgements import Acknowledged, Acknowledgement, note, read
from renewal.channels.listening import Malformed
from renewal.models import Attempt, Channel
from tests.factories import NOW, device, fleet
from tests.renewal.channels.gateways import attempts

TOPIC = "certportal/demo/meter-1/ack"


def test_a_message_speaks_for_the_device_of_its_topic():
    assert read(TOPIC, b'{"campaign": 7}', NOW) == Acknowledgement("demo", "meter-1", 7, NOW)
    assert read(TOPIC, b'{"campaign": 7, "device": "M1"}', NOW).device == "M1"


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{", b"[]", b"7", b"\xff", b"[" * 4000, b"{}", b'{"campaign": "7"}', b'{"campaign": true}',
        b'{"campaign": 0}', b'{"campaign": 99999999999999999999}', b'{"campaign": 7, "x": 1}',
        b'{"campaign": 7, "device": 5}', b'{"campaign": 7, "device": "a\\u0000"}', b" " * 2000 + b'{"campaign": 7}',
    ],
)  # fmt: skip
def test_a_message_that_says_nothing_is_malformed(payload):
    with pytest.raises(Malformed):
        read(TOPIC, payload, NOW)


def said(mqtt_id: str, campaign: int, **more) -> Acknowledgement:
    return read(f"certportal/demo/{mqtt_id}/ack", json.dumps({"campaign": campaign, **more}).encode(), NOW)


@pytest.mark.django_db
def test_an_acknowledgement_is_written_to_the_last_trigger_of_its_device_alone(django_assert_num_queries):
    first = attempts(3, outcome="sent", channel=Channel.MQTT)
    last = Attempt.objects.create(target=first[1].target, number=2, channel=Channel.MQTT, at=NOW, outcome="sent")
    by_sms = Attempt.objects.create(target=first[1].target, number=3, channel=Channel.SMS, at=NOW, outcome="sent")
    campaign = first[0].target.campaign_id
    device("elsewhere", mqtt_id="meter-1", fleet=fleet("other"))
    with django_assert_num_queries(1):
        assert note([said("meter-1", campaign)]) == Acknowledged(written=1)
    assert set(Attempt.objects.filter(outcome="delivered").values_list("pk", "receipt_at")) == {(last.pk, NOW)}
    assert by_sms.outcome == "sent"
    assert note([said("meter-1", campaign), said("meter-1", campaign)]) == Acknowledged(known=1)


@pytest.mark.django_db
def test_the_name_of_another_device_is_refused_and_unknown_ones_are_counted():
    [one, another] = attempts(2, outcome="sent", channel=Channel.MQTT)
    campaign, serial = one.target.campaign_id, another.target.device.serial
    told = [
        said("meter-0", campaign, device=serial),
        said("meter-0", campaign + 1),
        said("meter-9", campaign),
        said("", campaign),
    ]
    assert note(told) == Acknowledged(unknown=3, refused=1)
    assert not Attempt.objects.filter(outcome="delivered").exists()
    assert note([said("meter-0", campaign, device=one.target.device.serial)]) == Acknowledged(written=1)
