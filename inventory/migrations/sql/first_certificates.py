"""How a device is among those that never had a certificate, until it has its first."""

from inventory.migrations.sql.devices import forget_rows_of_devices, rows_of_devices

# Of the new certificates in `changed`. An array, in which PostgreSQL expects few elements: it looks for each by its key.
FORGET_UNCERTIFIED = """
        DELETE FROM inventory_uncertifieddevice
        WHERE device_id = ANY (ARRAY(SELECT device_id FROM changed WHERE predecessor_id IS NULL ORDER BY 1))"""

NOTE = rows_of_devices("inventory_uncertifieddevice", "uncertified")
FORGET = forget_rows_of_devices("uncertified")
