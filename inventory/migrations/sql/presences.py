"""The triggers by which each device has a presence, as long as it is there."""

from inventory.migrations.sql.devices import forget_rows_of_devices, rows_of_devices

# A sighting finds room on the page of its row, as it must to leave the indexes alone.
ROOM = "ALTER TABLE inventory_devicepresence SET (fillfactor = 70);"

MAKE = rows_of_devices("inventory_devicepresence", "presence") + ROOM
FORGET = forget_rows_of_devices("presence")
