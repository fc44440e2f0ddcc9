"""The triggers by which a device is among those that never had a certificate, until it has its first."""

# An array, in which PostgreSQL expects few elements: it looks for each by its key. Of a renewal nothing is looked for.
NOTE = """
CREATE FUNCTION inventory_add_uncertified() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO inventory_uncertifieddevice (device_id) SELECT id FROM new_rows;
    RETURN NULL;
END
$$;
CREATE TRIGGER uncertified_insert AFTER INSERT ON inventory_device
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION inventory_add_uncertified();

CREATE FUNCTION inventory_note_first_certificates() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    firsts bigint[] := ARRAY(
        SELECT device_id FROM new_rows WHERE device_id IS NOT NULL AND predecessor_id IS NULL ORDER BY 1);
BEGIN
    IF firsts <> '{}' THEN
        DELETE FROM inventory_uncertifieddevice WHERE device_id = ANY (firsts);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER note_first AFTER INSERT ON inventory_certificate
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION inventory_note_first_certificates();

CREATE FUNCTION inventory_delete_uncertified() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    DELETE FROM inventory_uncertifieddevice WHERE device_id = ANY (ARRAY(SELECT id FROM old_rows));
    RETURN NULL;
END
$$;
CREATE TRIGGER uncertified_delete AFTER DELETE ON inventory_device
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION inventory_delete_uncertified();

CREATE FUNCTION inventory_empty_uncertified() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM inventory_uncertifieddevice;
    RETURN NULL;
END
$$;
CREATE TRIGGER uncertified_truncation AFTER TRUNCATE ON inventory_device
    FOR EACH STATEMENT EXECUTE FUNCTION inventory_empty_uncertified();
"""
FORGET = """
DROP FUNCTION inventory_add_uncertified() CASCADE;
DROP FUNCTION inventory_note_first_certificates() CASCADE;
DROP FUNCTION inventory_delete_uncertified() CASCADE;
DROP FUNCTION inventory_empty_uncertified() CASCADE;
"""
