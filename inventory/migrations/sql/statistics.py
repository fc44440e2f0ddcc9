"""What PostgreSQL cannot learn about certificates from a sample."""

# PostgreSQL takes states and ends to be independent. Of those that ended nearly all were superseded before, so it
# expects fifty times as many expired ones as there are, and reads queues from the wrong side
# (`inventory.devices.locked_out`).
ENDS = """
CREATE STATISTICS certificate_standing_end
ON (CASE WHEN state IN ('issued', 'confirmed') THEN not_after END) FROM inventory_certificate;
"""
FORGET_ENDS = "DROP STATISTICS certificate_standing_end"

# A device has a few certificates, and theirs stand apart in the table: from a sample PostgreSQL concludes that there are
# a hundred thousand devices of fifty certificates each, and plans joins for that.
DEVICES = "ALTER TABLE inventory_certificate ALTER COLUMN device_id SET (n_distinct = -0.35)"
FORGET_DEVICES = "ALTER TABLE inventory_certificate ALTER COLUMN device_id RESET (n_distinct)"
