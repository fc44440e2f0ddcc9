"""The trigger that notes a device's first certificate."""

# Locked in the order of their keys, as sightings do. Lateral, because the plan is kept from the first call on: a join
# that suits one row must suit a hundred thousand. By index, as in `counting`. A renewal finds nothing to do.
NOTE = """
CREATE FUNCTION inventory_note_first_certificates() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    firsts bigint[] := ARRAY(
        SELECT device.id
        FROM (SELECT device_id FROM new_rows WHERE device_id IS NOT NULL ORDER BY 1) holder CROSS JOIN LATERAL (
            SELECT id FROM inventory_device WHERE id = device_id AND NOT had_certificate FOR NO KEY UPDATE
        ) device);
BEGIN
    IF firsts <> '{}' THEN
        UPDATE inventory_device SET had_certificate = true WHERE id = ANY (firsts);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER note_first AFTER INSERT ON inventory_certificate
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION inventory_note_first_certificates();
"""
FORGET = "DROP FUNCTION inventory_note_first_certificates() CASCADE;"
