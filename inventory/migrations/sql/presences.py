"""The triggers by which each device has a presence, as long as it is there."""

# Where the ids of devices are few or many, in one statement. Before it deletes them `count_delete` has read them: of
# triggers of one event the first by name is called first.
KEEP = """
CREATE FUNCTION inventory_add_presences() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO inventory_devicepresence (device_id) SELECT id FROM new_rows;
    RETURN NULL;
END
$$;
CREATE TRIGGER presence_insert AFTER INSERT ON inventory_device
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION inventory_add_presences();

CREATE FUNCTION inventory_delete_presences() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    DELETE FROM inventory_devicepresence WHERE device_id IN (SELECT id FROM old_rows);
    RETURN NULL;
END
$$;
CREATE TRIGGER presence_delete AFTER DELETE ON inventory_device
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION inventory_delete_presences();

CREATE FUNCTION inventory_empty_presences() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM inventory_devicepresence;
    RETURN NULL;
END
$$;
CREATE TRIGGER presence_truncation AFTER TRUNCATE ON inventory_device
    FOR EACH STATEMENT EXECUTE FUNCTION inventory_empty_presences();
"""
# A sighting finds room on the page of its row, as it must to leave the indexes alone.
ROOM = "ALTER TABLE inventory_devicepresence SET (fillfactor = 70);"

MAKE = KEEP + ROOM
FORGET = """
DROP FUNCTION inventory_add_presences() CASCADE;
DROP FUNCTION inventory_delete_presences() CASCADE;
DROP FUNCTION inventory_empty_presences() CASCADE;
"""
