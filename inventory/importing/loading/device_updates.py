"""Updates known devices from a corrected manifest: only on request, and an empty cell never clears a value.

What a file can correct is where a device is, how it is reached and which batch it is of. Its status is for people, and
when it was last seen for sightings.
"""

from typing import Any

# By {devices}: the staged rows, or those that a dry run keeps.
_OF_KNOWN_DEVICES = """
    FROM {devices} staged
    JOIN inventory_device known ON known.fleet_id = staged.fleet_id AND known.serial = staged.serial
    LEFT JOIN inventory_site site ON site.fleet_id = staged.fleet_id AND site.name = staged.site
    LEFT JOIN inventory_batch batch ON batch.fleet_id = staged.fleet_id AND batch.name = staged.batch
"""
# A column that is empty, or that the source does not have, says nothing.
_SAYS_OTHERWISE = """
    staged.site <> '' AND site.id IS DISTINCT FROM known.site_id
    OR staged.batch <> '' AND batch.id IS DISTINCT FROM known.batch_id
    OR staged.latitude IS NOT NULL AND (staged.latitude::numeric(8, 6), staged.longitude::numeric(9, 6))
        IS DISTINCT FROM (known.latitude, known.longitude)
    OR staged.mqtt_id NOT IN ('', known.mqtt_id)
    OR staged.phone_number NOT IN ('', known.phone_number)
    OR staged.connectivity NOT IN ('', known.connectivity)
"""
_MQTT_IDS_TAKEN = """
    SELECT staged.line
    FROM {devices} staged
    JOIN inventory_device known ON known.fleet_id = staged.fleet_id AND known.serial = staged.serial
    WHERE staged.mqtt_id NOT IN ('', known.mqtt_id) AND (
        EXISTS (
            SELECT FROM inventory_device other
            WHERE other.fleet_id = staged.fleet_id AND other.mqtt_id = staged.mqtt_id AND other.id <> known.id)
        OR EXISTS (
            SELECT FROM {devices} earlier
            WHERE earlier.fleet_id = staged.fleet_id AND earlier.mqtt_id = staged.mqtt_id
                AND earlier.serial <> staged.serial AND earlier.line < staged.line))
"""
_LEAVE_OUT = (
    "DELETE FROM import_device WHERE line = ANY(%s)",
    "DELETE FROM import_certificate WHERE line = ANY(%s)",
)
# Locked in the order of their keys first, as the counters ask of whoever moves many.
_UPDATE = f"""
    WITH corrected AS MATERIALIZED (
        SELECT known.id, site.id AS site_id, batch.id AS batch_id, staged.latitude, staged.longitude, staged.mqtt_id,
            staged.phone_number, staged.connectivity
        {_OF_KNOWN_DEVICES.format(devices="import_device")}
        WHERE {_SAYS_OTHERWISE}
        ORDER BY known.id FOR UPDATE OF known
    )
    UPDATE inventory_device device SET
        site_id = coalesce(corrected.site_id, device.site_id),
        batch_id = coalesce(corrected.batch_id, device.batch_id),
        latitude = coalesce(corrected.latitude::numeric, device.latitude),
        longitude = coalesce(corrected.longitude::numeric, device.longitude),
        mqtt_id = coalesce(nullif(corrected.mqtt_id, ''), device.mqtt_id),
        phone_number = coalesce(nullif(corrected.phone_number, ''), device.phone_number),
        connectivity = coalesce(nullif(corrected.connectivity, ''), device.connectivity)
    FROM corrected WHERE device.id = corrected.id
"""  # noqa: S608 - of the pieces above
_TO_UPDATE = "SELECT count(DISTINCT known.id) {of_known_devices} WHERE {says_otherwise}"


def update(cursor: Any) -> tuple[int, list[int]]:
    """Correct the known devices among the staged ones.

    Return how many changed, and the lines that were left out because their MQTT id is another device's.
    """
    taken = lines_of_taken_mqtt_ids(cursor, "import_device")
    if taken:
        for leave_out in _LEAVE_OUT:
            cursor.execute(leave_out, [taken])
    cursor.execute(_UPDATE)
    return cursor.rowcount, taken


def lines_of_taken_mqtt_ids(cursor: Any, devices: str) -> list[int]:
    """Return the lines of `devices` that give a known device the MQTT id of another."""
    cursor.execute(_MQTT_IDS_TAKEN.format(devices=devices))
    return [line for (line,) in cursor.fetchall()]


def count(cursor: Any, devices: str) -> int:
    """Return how many known devices an update by `devices` would change."""
    known = _OF_KNOWN_DEVICES.format(devices=devices)
    cursor.execute(_TO_UPDATE.format(of_known_devices=known, says_otherwise=_SAYS_OTHERWISE))
    [found] = cursor.fetchone()
    return int(found)
