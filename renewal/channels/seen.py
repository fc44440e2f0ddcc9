"""Sightings over MQTT: what devices, or a broker for them, tell on `certportal/FLEET/MQTT_ID/seen`."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime

from inventory.sightings import Sighting, json_reports
from inventory.sightings.identifiers import MqttId
from renewal.channels.listening import Malformed

_LARGEST_PAYLOAD = 4096


def read(topic: str, payload: bytes | bytearray, received_at: datetime) -> Sighting:
    """Read a message. Raises Malformed."""
    _, fleet, mqtt_id, _ = topic.split("/")
    if len(payload) > _LARGEST_PAYLOAD:
        raise Malformed(f"The message has {len(payload)} bytes; a sighting has at most {_LARGEST_PAYLOAD}.")
    try:
        row = json.loads(payload) if payload.strip() else {}
    except (ValueError, RecursionError) as error:
        raise Malformed("The message is no JSON.") from error
    try:
        return json_reports.sighting_of(MqttId(fleet, mqtt_id), row, received_at)
    except json_reports.Malformed as error:
        raise Malformed(str(error)) from error


class Sightings:
    """The inbox of sightings; `record` commits a batch."""

    topic = "certportal/+/+/seen"

    def __init__(self, record: Callable[[Sequence[Sighting]], object]) -> None:
        self._record = record

    def read(self, topic: str, payload: bytes | bytearray, received_at: datetime) -> Sighting:
        return read(topic, payload, received_at)

    def record(self, told: Sequence[Sighting]) -> None:
        self._record(told)
