"""A dry run: the keys of all rows are kept in temporary tables, and compared with the inventory at the end."""

from dataclasses import dataclass
from typing import Any

from inventory.importing.loading import device_updates, merge
from inventory.importing.parsing.parser import Staged
from inventory.importing.parsing.records import Reject

_MOST_REJECTS = 10_000
_KEEP = {
    "rehearsed_device": (
        "import_device",
        "line, fleet_id, serial, site, batch, latitude, longitude, mqtt_id, phone_number, connectivity",
    ),
    "rehearsed_certificate": (
        "import_certificate",
        "line, issuer, serial, fleet_id, device, sha256, state",
    ),
}
_DEVICES = """
    SELECT count(*), count(known.id)
    FROM (SELECT DISTINCT fleet_id, serial FROM rehearsed_device) each
    LEFT JOIN inventory_device known USING (fleet_id, serial)
"""
_MQTT_IDS_TAKEN = """
    SELECT line FROM (
        SELECT line, fleet_id, serial, first_value(serial) OVER (PARTITION BY fleet_id, mqtt_id ORDER BY line) AS first,
            mqtt_id
        FROM rehearsed_device WHERE mqtt_id <> ''
    ) each
    LEFT JOIN inventory_device other USING (fleet_id, mqtt_id)
    WHERE (each.first <> each.serial OR other.serial <> each.serial)
        AND NOT EXISTS (
            SELECT FROM inventory_device same WHERE same.fleet_id = each.fleet_id AND same.serial = each.serial)
    ORDER BY line
"""
_CERTIFICATES = """
    SELECT word, CASE WHEN word = 'of_another_device' THEN holder END, count(*),
        (array_agg(line ORDER BY line))[:%(most)s]
    FROM (
        SELECT line, coalesce(known_holder.serial, first_holder[2]) AS holder, CASE
            WHEN each.device IS NOT NULL AND known.device_id <> coalesce(device.id, 0) THEN 'of_another_device'
            WHEN known.id IS NULL AND first_holder <> ARRAY[each.fleet_id::text, each.device] THEN 'of_another_device'
            WHEN copy > 1 THEN 'repeated'
            WHEN known.id IS NOT NULL AND each.state = 'revoked' AND known.state <> 'revoked' AND issuer IS NOT NULL
                THEN 'revoked'
            WHEN known.id IS NOT NULL THEN 'known'
            WHEN issuer IS NULL THEN 'not_by_our_door'
            WHEN other.id IS NOT NULL OR first_sha256 <> each.sha256 THEN 'serial_taken'
            ELSE 'new'
        END AS word
        FROM (
            SELECT *, row_number() OVER (PARTITION BY sha256 ORDER BY line) AS copy,
                first_value(sha256) OVER (PARTITION BY issuer, serial ORDER BY line) AS first_sha256,
                first_value(CASE WHEN device IS NOT NULL THEN ARRAY[fleet_id::text, device] END)
                    OVER (PARTITION BY sha256 ORDER BY line) AS first_holder
            FROM rehearsed_certificate
        ) each
        LEFT JOIN inventory_certificate known ON known.sha256 = each.sha256
        LEFT JOIN inventory_device known_holder ON known_holder.id = known.device_id
        LEFT JOIN inventory_authority authority ON authority.external_identity = each.issuer
        LEFT JOIN inventory_certificate other
            ON other.authority_id = authority.id AND other.serial = each.serial AND other.sha256 <> each.sha256
        LEFT JOIN inventory_device device ON device.fleet_id = each.fleet_id AND device.serial = each.device
    ) told
    GROUP BY 1, 2
"""
_KNOWN_AUTHORITIES = "SELECT external_identity FROM inventory_authority WHERE external_identity = ANY(%s)"


@dataclass(frozen=True)
class DryRunResult:
    counts: dict[str, int]
    rejects: list[Reject]


class Rehearsal:
    """What a dry run has seen. Nothing of the inventory is touched or locked."""

    def __init__(self, update_known: bool) -> None:
        self._update_known = update_known
        self._made = False
        self._issuers: set[bytes] = set()

    def keep(self, cursor: Any, staged: Staged) -> None:
        """Keep the keys of what is staged."""
        for name, (staging, columns) in _KEEP.items():
            if self._made:
                cursor.execute(f"INSERT INTO {name} SELECT {columns} FROM {staging}")  # noqa: S608
            else:
                cursor.execute(f"DROP TABLE IF EXISTS {name}")
                cursor.execute(f"CREATE TEMPORARY TABLE {name} AS SELECT {columns} FROM {staging}")  # noqa: S608
        self._made = True
        self._issuers |= staged.issuers.keys()

    def outcome(self, cursor: Any) -> DryRunResult:
        """Return what an import would do."""
        if not self._made:
            return DryRunResult({}, [])
        for name in _KEEP:
            cursor.execute(f"ANALYZE {name}")
        cursor.execute(_DEVICES)
        devices, devices_known = cursor.fetchone()
        cursor.execute(_MQTT_IDS_TAKEN)
        taken = {line for (line,) in cursor.fetchall()}
        updated, left_out = 0, set[int]()
        if self._update_known:
            left_out = set(device_updates.lines_of_taken_mqtt_ids(cursor, "rehearsed_device"))
            cursor.execute("DELETE FROM rehearsed_device WHERE line = ANY(%s)", [list(left_out)])
            cursor.execute("DELETE FROM rehearsed_certificate WHERE line = ANY(%s)", [list(left_out)])
            updated = device_updates.count(cursor, "rehearsed_device")
        found: dict[str, int] = {}
        rejects = [Reject(line, merge.reason("mqtt_id_taken"), "") for line in sorted(taken | left_out)]
        cursor.execute(_CERTIFICATES, {"most": _MOST_REJECTS})
        for word, holder, count, lines in cursor.fetchall():
            found[word] = found.get(word, 0) + count
            if word in merge.REASONS:
                rejects += [Reject(line, merge.reason(word, holder), "") for line in lines if line not in taken]
        cursor.execute(_KNOWN_AUTHORITIES, [list(self._issuers)])
        authorities = len(self._issuers) - len(cursor.fetchall())
        return DryRunResult(
            {
                "devices_new": devices - devices_known - len(taken),
                "devices_known": devices_known,
                "devices_updated": updated,
                "certificates_new": found.get("new", 0),
                "certificates_known": found.get("known", 0) + found.get("revoked", 0),
                "certificates_repeated": found.get("repeated", 0),
                "certificates_revoked": found.get("revoked", 0),
                "authorities_new": authorities,
            },
            rejects,
        )
