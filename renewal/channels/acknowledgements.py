"""Acknowledgements: a device tells on `certportal/FLEET/MQTT_ID/ack` that it has a trigger.

The payload is JSON: `campaign`, as the trigger named it, and optionally `device`, its serial number, which must then be
that of the device of the topic.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from renewal.channels.listening import Malformed
from renewal.models import AttemptOutcome, Channel, TargetState

_LARGEST_PAYLOAD = 1024
_LARGEST_ID = (1 << 63) - 1


@dataclass(frozen=True)
class Acknowledgement:
    """A device has the trigger of a campaign. `device`: the serial number that it gives itself, empty when none."""

    fleet: str
    mqtt_id: str
    campaign: int
    at: datetime
    device: str = ""


@dataclass(frozen=True)
class Acknowledged:
    """What became of a batch: `written` to an attempt, `known` before, `unknown` device or campaign, `refused` since it
    named another device."""

    written: int = 0
    known: int = 0
    unknown: int = 0
    refused: int = 0


# The last attempt over MQTT of the device in that campaign is the one that it has: older ones were the same message.
_NOTE = """
WITH said AS (
    SELECT DISTINCT ON (fleet, mqtt_id, campaign) *
    FROM unnest(%(fleets)s::varchar[], %(mqtt_ids)s::varchar[], %(campaigns)s::bigint[], %(moments)s::timestamptz[],
                %(devices)s::varchar[]) AS each(fleet, mqtt_id, campaign, at, serial)
    ORDER BY fleet, mqtt_id, campaign, at
), ours AS (
    SELECT said.at, target.id AS target_id, said.serial NOT IN ('', device.serial) AS of_another
    FROM said
    JOIN inventory_fleet fleet ON fleet.slug = said.fleet
    JOIN inventory_device device ON device.fleet_id = fleet.id AND device.mqtt_id = said.mqtt_id AND said.mqtt_id <> ''
    JOIN renewal_target target ON target.campaign_id = said.campaign AND target.device_id = device.id
), last AS (
    SELECT ours.at, ours.target_id, attempt.id
    FROM ours CROSS JOIN LATERAL (
        SELECT id FROM renewal_attempt
        WHERE target_id = ours.target_id AND channel = %(mqtt)s ORDER BY number DESC LIMIT 1
    ) attempt
    WHERE NOT ours.of_another
), news AS (
    SELECT id FROM renewal_attempt
    WHERE id IN (SELECT id FROM last) AND outcome <> %(delivered)s ORDER BY id FOR UPDATE
), written AS (
    UPDATE renewal_attempt attempt SET outcome = %(delivered)s, receipt_at = last.at, detail = ''
    FROM news JOIN last USING (id) WHERE attempt.id = news.id
    RETURNING 1
), moved AS (
    UPDATE renewal_target target SET state = %(acknowledged)s, acknowledged_at = last.at
    FROM news JOIN last USING (id) WHERE target.id = last.target_id AND target.state = %(triggered)s
    RETURNING target.id, target.acknowledged_at
), told AS (
    INSERT INTO renewal_targetmove (target_id, at, state, reason)
    SELECT id, acknowledged_at, %(acknowledged)s, '' FROM moved ORDER BY id
)
SELECT (SELECT count(*) FROM said), (SELECT count(*) FROM ours WHERE of_another), (SELECT count(*) FROM last),
       (SELECT count(*) FROM written)
"""


def read(topic: str, payload: bytes | bytearray, received_at: datetime) -> Acknowledgement:
    """Read a message. Raises Malformed."""
    _, fleet, mqtt_id, _ = topic.split("/")
    if len(payload) > _LARGEST_PAYLOAD:
        raise Malformed(f"The message has {len(payload)} bytes; an acknowledgement has at most {_LARGEST_PAYLOAD}.")
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise Malformed("The message is no JSON.") from error
    if not isinstance(said, dict) or not said.keys() <= {"campaign", "device"}:
        raise Malformed('The message is an object with "campaign" and perhaps "device", and nothing beside them.')
    campaign, device = said.get("campaign"), said.get("device", "")
    if not isinstance(campaign, int) or isinstance(campaign, bool) or not 0 < campaign <= _LARGEST_ID:
        raise Malformed("The campaign is the number that the trigger gave.")
    if not isinstance(device, str) or "\0" in device or "\0" in topic:
        raise Malformed("The device is its serial number, as text.")
    return Acknowledgement(fleet, mqtt_id, campaign, received_at, device)


def note(told: Sequence[Acknowledgement]) -> Acknowledged:
    """Write down that devices have their triggers, and move their targets on.

    One statement; repetitions and unknown names are only counted.
    """
    if not told:
        return Acknowledged()
    with connection.cursor() as cursor:
        cursor.execute(
            _NOTE,
            {
                "fleets": [each.fleet for each in told],
                "mqtt_ids": [each.mqtt_id for each in told],
                "campaigns": [each.campaign for each in told],
                "moments": [each.at for each in told],
                "devices": [each.device for each in told],
                "mqtt": Channel.MQTT.value,
                "delivered": AttemptOutcome.DELIVERED.value,
                "triggered": TargetState.TRIGGERED.value,
                "acknowledged": TargetState.ACKNOWLEDGED.value,
            },
        )
        [(said, refused, last, written)] = cursor.fetchall()
    return Acknowledged(written, last - written, said - refused - last, refused)


class Acknowledgements:
    """The inbox of acknowledgements; `told` hears what became of each batch."""

    topic = "certportal/+/+/ack"

    def __init__(self, told: Callable[[Acknowledged], object]) -> None:
        self._told = told

    def read(self, topic: str, payload: bytes | bytearray, received_at: datetime) -> Acknowledgement:
        return read(topic, payload, received_at)

    def record(self, told: Sequence[Acknowledgement]) -> None:
        self._told(note(told))
