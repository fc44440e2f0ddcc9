"""Merges staged rows into the inventory: a COPY into temporary tables, then a fixed number of statements a block.

Keys are drawn when rows are staged. So what was inserted is told from what was there before by looking for the staged
key, and nobody asks while every row was new.

Where the block before was all new, so is this one as a rule: it is inserted as if it were, at two thirds of the cost,
and again with care when that was wrong.
"""

from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction

from inventory.importing.loading import device_updates
from inventory.importing.parsing import binary_copy
from inventory.importing.parsing.parser import Staged
from inventory.models import FleetIds
from inventory.pg_copy import copy_in

DEVICES, CERTIFICATES = "import_device", "import_certificate"

_INSERT_DEVICES = """
    INSERT INTO inventory_device (id, fleet_id, serial, site_id, batch_id, latitude, longitude, mqtt_id, phone_number,
        connectivity, status, registered_at)
    SELECT staged.id, staged.fleet_id, staged.serial, {site}, {batch}, staged.latitude::numeric,
        staged.longitude::numeric, mqtt_id, phone_number, coalesce(nullif(connectivity, ''), 'daily'), status,
        %(now)s
    FROM import_device staged {places}
"""
_WITHOUT_PLACES = _INSERT_DEVICES.format(site="NULL", batch="NULL", places="")
_WITH_PLACES = _INSERT_DEVICES.format(
    site="site.id",
    batch="batch.id",
    places="""
    LEFT JOIN inventory_site site ON site.fleet_id = staged.fleet_id AND site.name = staged.site
    LEFT JOIN inventory_batch batch ON batch.fleet_id = staged.fleet_id AND batch.name = staged.batch""",
)
# Only devices that are new have the keys that were staged. As arrays, in which PostgreSQL expects few elements: it
# looks for each by its key, and does not read the presences of a whole fleet for a block.
_NOTE_LAST_SEEN = """
    UPDATE inventory_devicepresence presence SET last_seen_at = staged.last_seen_at
    FROM unnest(
        ARRAY(SELECT id FROM import_device WHERE last_seen_at IS NOT NULL ORDER BY id),
        ARRAY(SELECT last_seen_at FROM import_device WHERE last_seen_at IS NOT NULL ORDER BY id)
    ) AS staged (id, last_seen_at)
    WHERE presence.device_id = staged.id
"""
_INSERT_SITES = """
    INSERT INTO inventory_site (fleet_id, name)
    SELECT DISTINCT fleet_id, site FROM import_device WHERE site <> '' ORDER BY 1, 2 ON CONFLICT DO NOTHING
"""
_INSERT_BATCHES = """
    INSERT INTO inventory_batch (fleet_id, name)
    SELECT DISTINCT fleet_id, batch FROM import_device WHERE batch <> '' ORDER BY 1, 2 ON CONFLICT DO NOTHING
"""
_INSERT_CERTIFICATES = """
    INSERT INTO inventory_certificate (id, authority_id, serial, purpose, device_id, subject, key_type, der, sha256,
        spki_sha256, not_before, not_after, jitter, issued_at, crl_shard, state, revoked_at, revocation_reason)
    SELECT staged.id, authority.id, staged.serial, purpose, device.id, subject, key_type, der, sha256, spki_sha256,
        not_before, not_after, '0', issued_at, 0, state, revoked_at, revocation_reason
    FROM import_certificate staged
    JOIN inventory_authority authority ON authority.external_identity = staged.issuer
    LEFT JOIN {devices} device ON device.fleet_id = staged.fleet_id AND device.serial = staged.device
    WHERE staged.device IS NULL OR device.id IS NOT NULL
"""
_OF_ANY_DEVICE = _INSERT_CERTIFICATES.format(devices="inventory_device")
# A device is staged with its certificate: once all of a block are new, their keys stand here.
_OF_STAGED_DEVICE = _INSERT_CERTIFICATES.format(devices="import_device")
# Of two that are the same the first stands.
_IN_THEIR_ORDER = " ORDER BY staged.line"
_UNLESS_KNOWN = " ON CONFLICT DO NOTHING"
_UNIQUE_VIOLATION = "23505"
# The first eight bytes of "importing", as PostgreSQL's advisory locks have numbers for names.
_LOCK = int.from_bytes(b"importin")
# What another authority has revoked since an earlier import. Our own are revoked by orders, never by a file; and a
# file of somebody who sees some fleets says nothing of the certificates of others.
_REVOKE = """
    UPDATE inventory_certificate certificate
    SET state = 'revoked', revoked_at = staged.revoked_at, revocation_reason = staged.revocation_reason
    FROM import_certificate staged
    WHERE staged.state = 'revoked' AND staged.issuer IS NOT NULL
        AND certificate.sha256 = staged.sha256 AND certificate.state <> 'revoked'
        AND (%(within)s::bigint[] IS NULL OR EXISTS (
            SELECT FROM inventory_device holder
            WHERE holder.id = certificate.device_id AND holder.fleet_id = ANY(%(within)s)))
"""
_DEVICES_LEFT = """
    SELECT CASE WHEN same.id IS NOT NULL THEN '' ELSE 'mqtt_id_taken' END, count(*), array_agg(staged.line)
    FROM import_device staged
    LEFT JOIN inventory_device done ON done.id = staged.id
    LEFT JOIN inventory_device same ON same.fleet_id = staged.fleet_id AND same.serial = staged.serial
    WHERE done.id IS NULL
    GROUP BY 1
"""
_CERTIFICATES_LEFT = """
    SELECT CASE
            WHEN same.device_id <> device.id THEN 'of_another_device'
            WHEN same.id >= %(first)s THEN 'repeated'
            WHEN same.id IS NOT NULL THEN 'known'
            WHEN staged.issuer IS NULL THEN 'not_by_our_door'
            WHEN authority.id IS NULL THEN 'too_many_issuers'
            WHEN staged.device IS NOT NULL AND device.id IS NULL THEN 'device_rejected'
            ELSE 'serial_taken'
        END, CASE WHEN same.device_id <> device.id THEN holder.serial END, count(*), array_agg(staged.line)
    FROM import_certificate staged
    LEFT JOIN inventory_certificate done ON done.id = staged.id
    LEFT JOIN inventory_certificate same ON same.sha256 = staged.sha256
    LEFT JOIN inventory_device holder ON holder.id = same.device_id
    LEFT JOIN inventory_authority authority ON authority.external_identity = staged.issuer
    LEFT JOIN inventory_device device ON device.fleet_id = staged.fleet_id AND device.serial = staged.device
    WHERE done.id IS NULL
    GROUP BY 1, 2
"""

REASONS = {
    "mqtt_id_taken": "Another device of the fleet has this MQTT client id.",
    "of_another_device": "The certificate belongs to device {holder}.",
    "not_by_our_door": "The certificate names an authority of this portal as its issuer, which did not issue it here.",
    "too_many_issuers": "One import makes a limited number of external authorities; this one names one more.",
    "device_rejected": "Its device was not taken.",
    "serial_taken": "Another certificate of the same issuer has this serial number.",
}


def reason(word: str, holder: str | None = None) -> str:
    """Return why a record was rejected; `holder` is the device that has its certificate."""
    return REASONS[word].format(holder=holder)


class IndexesNeeded(Exception):
    """The block may hold known rows, which cannot be detected while unique indexes are dropped."""


@dataclass(slots=True)
class Merged:
    """The result of a block. `rejected`: line numbers and reasons."""

    devices_new: int = 0
    devices_known: int = 0
    devices_updated: int = 0
    certificates_new: int = 0
    certificates_known: int = 0
    certificates_repeated: int = 0
    certificates_revoked: int = 0
    rejected: dict[int, str] = field(default_factory=dict)

    def is_all_new(self, staged: Staged) -> bool:
        """Return whether nothing of what was staged was known or rejected."""
        return (self.devices_new, self.certificates_new) == (staged.device_count, staged.certificate_count)


def make_tables(cursor: Any) -> None:
    """Make the staging tables of this session; they are empty after each commit, and gone with the session."""
    for name, columns, table in (
        (DEVICES, binary_copy.DEVICE_COLUMNS, "inventory_device"),
        (CERTIFICATES, binary_copy.CERTIFICATE_COLUMNS, "inventory_certificate"),
    ):
        cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table])
        [sequence] = cursor.fetchone()
        cursor.execute(f"DROP TABLE IF EXISTS {name}")
        cursor.execute(
            f"CREATE TEMPORARY TABLE {name} (id bigint NOT NULL DEFAULT nextval('{sequence}'), {', '.join(columns)})"
            " ON COMMIT DELETE ROWS"
        )


def draw_keys(cursor: Any) -> tuple[int, int]:
    """Return a device key and a certificate key above all existing ones."""
    cursor.execute(
        "SELECT nextval(pg_get_serial_sequence('inventory_device', 'id')),"
        " nextval(pg_get_serial_sequence('inventory_certificate', 'id'))"
    )
    device, certificate = cursor.fetchone()
    return device, certificate


def stage(cursor: Any, staged: Staged) -> None:
    """Copy staged rows into the tables of this session."""
    for name, columns, rows in (
        (DEVICES, binary_copy.DEVICE_COLUMNS, staged.devices),
        (CERTIFICATES, binary_copy.CERTIFICATE_COLUMNS, staged.certificates),
    ):
        if rows:
            copy_in(cursor, name, [column.partition(" ")[0] for column in columns], [rows])


def wait_for_others(cursor: Any) -> None:
    """Block merges of other imports until this transaction ends.

    Two imports of the same devices would insert them in different orders, and each wait for the other.
    """
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def merge(
    cursor: Any,
    staged: Staged,
    *,
    all_new: bool,
    indexed: bool,
    update_known: bool,
    first_certificate_id: int,
    now: Any,
    within: FleetIds = None,
) -> Merged:
    """Put what was staged into the inventory, in the transaction of the caller. Issuers have their rows by now.

    `all_new` says that nothing of it is expected to be known; that costs time when it is wrong, and nothing else.
    `indexed`, that all unique indexes are there; raises IndexesNeeded where they are not, and not all is new.
    `update_known` corrects devices that are known; `within` are the fleets that the import may write to.
    """
    wait_for_others(cursor)
    if staged.names_places:
        cursor.execute(_INSERT_SITES)
        cursor.execute(_INSERT_BATCHES)
    insert_devices = _WITH_PLACES if staged.names_places else _WITHOUT_PLACES
    if all_new and _insert_as_new(cursor, staged, insert_devices, now):
        return Merged(
            devices_new=staged.device_count,
            certificates_new=staged.certificate_count,
            certificates_repeated=staged.repeated,
        )
    if not indexed:
        raise IndexesNeeded
    merged = Merged(certificates_repeated=staged.repeated)
    if staged.device_count:
        _merge_devices(cursor, staged, merged, insert_devices, now)
        if update_known and merged.devices_known:
            merged.devices_updated, taken = device_updates.update(cursor)
            merged.rejected |= dict.fromkeys(taken, reason("mqtt_id_taken"))
    if staged.certificate_count:
        _merge_certificates(cursor, staged, merged, first_certificate_id, within)
    return merged


def _insert_as_new(cursor: Any, staged: Staged, insert_devices: str, now: Any) -> bool:
    """Insert all that was staged, or nothing and return False when some of it cannot be inserted."""
    try:
        with transaction.atomic():
            if staged.device_count:
                cursor.execute(insert_devices, {"now": now})
                cursor.execute(_NOTE_LAST_SEEN)
            if staged.certificate_count:
                cursor.execute(_OF_STAGED_DEVICE)
                if cursor.rowcount != staged.certificate_count:
                    transaction.set_rollback(True)
                    return False
    except IntegrityError as error:
        if getattr(error.__cause__, "sqlstate", "") != _UNIQUE_VIOLATION:
            raise
        return False
    return True


def _merge_devices(cursor: Any, staged: Staged, merged: Merged, insert: str, now: Any) -> None:
    cursor.execute(insert + _UNLESS_KNOWN, {"now": now})
    merged.devices_new = cursor.rowcount
    cursor.execute(_NOTE_LAST_SEEN)
    if merged.devices_new == staged.device_count:
        return
    cursor.execute(_DEVICES_LEFT)
    for word, count, lines in cursor.fetchall():
        if word:
            merged.rejected |= dict.fromkeys(lines, reason(word))
        else:
            merged.devices_known += count


def _merge_certificates(
    cursor: Any, staged: Staged, merged: Merged, first_certificate_id: int, within: FleetIds
) -> None:
    cursor.execute(_OF_ANY_DEVICE + _IN_THEIR_ORDER + _UNLESS_KNOWN)
    merged.certificates_new = cursor.rowcount
    if merged.certificates_new == staged.certificate_count:
        return
    if staged.revokes:
        cursor.execute(_REVOKE, {"within": None if within is None else list(within)})
        merged.certificates_revoked = cursor.rowcount
    cursor.execute(_CERTIFICATES_LEFT, {"first": first_certificate_id})
    for word, holder, count, lines in cursor.fetchall():
        if word == "known":
            merged.certificates_known += count
        elif word == "repeated":
            merged.certificates_repeated += count
        else:
            for line in lines:
                # That its device was refused says less than why.
                merged.rejected.setdefault(line, reason(word, holder))
