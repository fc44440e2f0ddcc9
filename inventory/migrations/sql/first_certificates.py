"""The triggers by which a device is among those that never had a certificate, until it has its first."""

from inventory.migrations.sql.devices import forget_rows_of_devices, rows_of_devices

# An array, in which PostgreSQL expects few elements: it looks for each by its key. Of a renewal nothing is looked for.
_FIRST = """
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
"""
NOTE = rows_of_devices("inventory_uncertifieddevice", "uncertified") + _FIRST
FORGET = forget_rows_of_devices("uncertified") + "DROP FUNCTION inventory_note_first_certificates() CASCADE;"
