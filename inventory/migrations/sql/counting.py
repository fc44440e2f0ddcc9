"""The triggers that count certificates and devices as they are written."""

from inventory.migrations.sql import first_certificates
from inventory.migrations.sql.devices import BY_KEY, NO_OTHER_PLAN

_COLUMNS = "device_id, profile_id, authority_id, state, predecessor_id, not_after"
_ADDED = f"SELECT {_COLUMNS}, 1 AS number FROM new_rows WHERE purpose = 'device'"
_TAKEN = f"SELECT {_COLUMNS}, -1 AS number FROM old_rows WHERE purpose = 'device'"
_TRIGGERS = {
    "INSERT": ("NEW TABLE AS new_rows", _ADDED),
    "UPDATE": ("OLD TABLE AS old_rows NEW TABLE AS new_rows", f"{_ADDED} UNION ALL {_TAKEN}"),
    "DELETE": ("OLD TABLE AS old_rows", _TAKEN),
}
_DELTA = "inventory_certificatedelta (day, fleet_id, site_id, batch_id, profile_id, authority_id, state, number)"
_CELL = """(not_after AT TIME ZONE 'UTC')::date, fleet_id, site_id, batch_id, profile_id, authority_id,
        inventory_counter_state(state, predecessor_id)"""

# What of the state is counted apart: a renewal that was not used yet is not simply `issued`.
STATE = """
CREATE FUNCTION inventory_counter_state(state varchar, predecessor_id bigint) RETURNS varchar
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN state = 'issued' AND predecessor_id IS NOT NULL THEN 'unconfirmed' ELSE state END
$$;
"""

# A certificate counts where its device is. Whoever writes certificates locks their devices FOR KEY SHARE, as the
# foreign key would at commit anyway; who moves a device locks it FOR UPDATE. Of the two the second waits, and then
# reads what the first did. Neither hinders a sighting. But an UPDATE holds its rows already when this trigger waits:
# who moves devices beside others at work should lock them FOR UPDATE before, or may be the victim of a deadlock.
# A certificate of no device fails on the column `fleet_id`.
# The statement that counts new ones also notes which are the first of their devices: a trigger more would cost a third
# of what it costs PostgreSQL to store a certificate.
_BESIDE = {"INSERT": f", first AS ({first_certificates.FORGET_UNCERTIFIED})", "UPDATE": "", "DELETE": ""}
# One certificate is stored in a statement of its own while its device waits. Three short statements take a fifth less
# than the one that is ready for a hundred thousand.
_ONE = f"""
DECLARE
    one record;
    place record;
BEGIN
    SELECT {_COLUMNS}, purpose, (SELECT count(*) FROM (SELECT FROM new_rows LIMIT 2) some_rows) AS number
    INTO one FROM new_rows LIMIT 1;
    IF one.number = 1 AND one.purpose = 'device' THEN
        SELECT fleet_id, site_id, batch_id INTO place FROM inventory_device WHERE id = one.device_id FOR KEY SHARE;
        IF one.predecessor_id IS NULL THEN
            DELETE FROM inventory_uncertifieddevice WHERE device_id = one.device_id;
        END IF;
        INSERT INTO {_DELTA} VALUES (
            (one.not_after AT TIME ZONE 'UTC')::date, place.fleet_id, place.site_id, place.batch_id, one.profile_id,
            one.authority_id, inventory_counter_state(one.state, one.predecessor_id), 1
        );
        RETURN NULL;
    END IF;"""
_BEGIN = {"INSERT": _ONE, "UPDATE": "\nBEGIN", "DELETE": "\nBEGIN"}
CERTIFICATES = "".join(
    f"""
CREATE FUNCTION inventory_count_certificates_on_{event.lower()}() RETURNS trigger LANGUAGE plpgsql
{NO_OTHER_PLAN} AS $${_BEGIN[event]}
    WITH changed AS NOT MATERIALIZED ({changed}){_BESIDE[event]}
    INSERT INTO {_DELTA}
    SELECT {_CELL}, sum(number)
    FROM changed LEFT JOIN LATERAL (
        SELECT fleet_id, site_id, batch_id FROM inventory_device WHERE {BY_KEY} FOR KEY SHARE
    ) device ON true
    GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(number) <> 0;
    RETURN NULL;
END
$$;
CREATE TRIGGER count_{event.lower()} AFTER {event} ON inventory_certificate
    REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION inventory_count_certificates_on_{event.lower()}();
"""
    for event, (tables, changed) in _TRIGGERS.items()
)

# By row, because that costs nothing when a device changes otherwise: `WHEN` is decided before anything is called.
MOVES = f"""
CREATE FUNCTION inventory_lock_moving_device() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM inventory_device WHERE id = OLD.id FOR UPDATE;
    RETURN NEW;
END
$$;
CREATE TRIGGER lock_move BEFORE UPDATE OF fleet_id, site_id, batch_id ON inventory_device FOR EACH ROW
    WHEN ((OLD.fleet_id, OLD.site_id, OLD.batch_id) IS DISTINCT FROM (NEW.fleet_id, NEW.site_id, NEW.batch_id))
    EXECUTE FUNCTION inventory_lock_moving_device();

CREATE FUNCTION inventory_count_moved_device() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {_DELTA}
    SELECT {_CELL}, sum(number)
    FROM inventory_certificate
    CROSS JOIN (VALUES (OLD.fleet_id, OLD.site_id, OLD.batch_id, -1), (NEW.fleet_id, NEW.site_id, NEW.batch_id, 1))
        AS place (fleet_id, site_id, batch_id, number)
    WHERE device_id = NEW.id
    GROUP BY 1, 2, 3, 4, 5, 6, 7;
    IF OLD.fleet_id <> NEW.fleet_id THEN
        INSERT INTO inventory_devicedelta (fleet_id, number, never_seen)
        SELECT place.fleet_id, place.number, place.number * (last_seen_at IS NULL)::integer
        FROM inventory_devicepresence CROSS JOIN (VALUES (OLD.fleet_id, -1), (NEW.fleet_id, 1)) place (fleet_id, number)
        WHERE device_id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER count_move AFTER UPDATE OF fleet_id, site_id, batch_id ON inventory_device FOR EACH ROW
    WHEN ((OLD.fleet_id, OLD.site_id, OLD.batch_id) IS DISTINCT FROM (NEW.fleet_id, NEW.site_id, NEW.batch_id))
    EXECUTE FUNCTION inventory_count_moved_device();
"""

# A device is new before it is seen. One that is deleted is counted as its presence says, which goes after it.
_DEVICE_TRIGGERS = {
    "INSERT": ("NEW TABLE AS new_rows", "SELECT fleet_id, count(*), count(*) FROM new_rows GROUP BY 1"),
    "DELETE": (
        "OLD TABLE AS old_rows",
        """
    SELECT fleet_id, -count(*), -count(*) FILTER (WHERE last_seen_at IS NULL)
    FROM old_rows LEFT JOIN inventory_devicepresence ON device_id = old_rows.id
    GROUP BY 1""",
    ),
}
DEVICES = "".join(
    f"""
CREATE FUNCTION inventory_count_devices_on_{event.lower()}() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO inventory_devicedelta (fleet_id, number, never_seen) {counted};
    RETURN NULL;
END
$$;
CREATE TRIGGER count_{event.lower()} AFTER {event} ON inventory_device
    REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION inventory_count_devices_on_{event.lower()}();
"""
    for event, (tables, counted) in _DEVICE_TRIGGERS.items()
)

# A device that was never seen counts where it is: of its first sighting and of a move to another fleet the second waits
# for the first, as of a certificate and a move. Its locks are taken in the order of their keys.
FIRST_SIGHTINGS = f"""
CREATE FUNCTION inventory_count_first_sightings() RETURNS trigger LANGUAGE plpgsql
{NO_OTHER_PLAN} AS $$
BEGIN
    INSERT INTO inventory_devicedelta (fleet_id, number, never_seen)
    SELECT fleet_id, 0, sum(never_seen)
    FROM (
        SELECT device_id, -1 AS never_seen FROM old_rows WHERE last_seen_at IS NULL
        UNION ALL
        SELECT device_id, 1 FROM new_rows WHERE last_seen_at IS NULL
        ORDER BY device_id
    ) changed CROSS JOIN LATERAL (SELECT fleet_id FROM inventory_device WHERE {BY_KEY} FOR KEY SHARE) device
    GROUP BY 1 HAVING sum(never_seen) <> 0;
    RETURN NULL;
END
$$;
CREATE TRIGGER count_update AFTER UPDATE ON inventory_devicepresence
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION inventory_count_first_sightings();
"""

# Nothing is left to count, folded or not.
TRUNCATION = """
CREATE FUNCTION inventory_count_truncation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'inventory_certificate' THEN
        DELETE FROM inventory_certificatedelta;
        DELETE FROM inventory_certificatecount;
    ELSE
        DELETE FROM inventory_devicedelta;
        DELETE FROM inventory_devicecount;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER count_truncation AFTER TRUNCATE ON inventory_certificate
    FOR EACH STATEMENT EXECUTE FUNCTION inventory_count_truncation();
CREATE TRIGGER count_truncation AFTER TRUNCATE ON inventory_device
    FOR EACH STATEMENT EXECUTE FUNCTION inventory_count_truncation();
"""

# Deltas come and go: what is left of them lies in the way of every reader. Counts are updated in place, given room.
STORAGE = """
ALTER TABLE inventory_certificatedelta SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE inventory_devicedelta SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE inventory_certificatecount SET (fillfactor = 70);
ALTER TABLE inventory_devicecount SET (fillfactor = 70);
"""

COUNT = STATE + CERTIFICATES + MOVES + DEVICES + FIRST_SIGHTINGS + TRUNCATION + STORAGE

FORGET = "".join(f"DROP FUNCTION inventory_count_certificates_on_{event.lower()}() CASCADE;" for event in _TRIGGERS)
FORGET += "".join(f"DROP FUNCTION inventory_count_devices_on_{event.lower()}() CASCADE;" for event in _DEVICE_TRIGGERS)
FORGET += """
DROP FUNCTION inventory_count_first_sightings() CASCADE;
DROP FUNCTION inventory_lock_moving_device() CASCADE;
DROP FUNCTION inventory_count_moved_device() CASCADE;
DROP FUNCTION inventory_count_truncation() CASCADE;
DROP FUNCTION inventory_counter_state(varchar, bigint);
"""
