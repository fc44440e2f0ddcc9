"""The trigger that notes a device's first certificate."""

from inventory.migrations.sql.devices import BY_KEY, NO_OTHER_PLAN

# Locked in the order of their keys, as sightings do. A renewal finds nothing to do.
NOTE = f"""
CREATE FUNCTION inventory_note_first_certificates() RETURNS trigger LANGUAGE plpgsql
{NO_OTHER_PLAN} AS $$
DECLARE
    firsts bigint[] := ARRAY(
        SELECT device.id
        FROM (SELECT device_id FROM new_rows WHERE device_id IS NOT NULL ORDER BY 1) holder CROSS JOIN LATERAL (
            SELECT id FROM inventory_device WHERE NOT had_certificate AND {BY_KEY} FOR NO KEY UPDATE
        ) device);
BEGIN
    IF firsts <> '{{}}' THEN
        UPDATE inventory_device SET had_certificate = true WHERE id = ANY (firsts);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER note_first AFTER INSERT ON inventory_certificate
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION inventory_note_first_certificates();
"""
FORGET = "DROP FUNCTION inventory_note_first_certificates() CASCADE;"
