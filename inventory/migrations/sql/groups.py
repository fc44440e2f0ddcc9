"""The foreign keys that keep a device at a site and in a batch of its own fleet."""

_KEYS = {group: f"device_{group}_of_its_fleet" for group in ("site", "batch")}

HOLD = "".join(
    f"""
ALTER TABLE inventory_{group} ADD CONSTRAINT {group}_in_its_fleet UNIQUE (fleet_id, id);
ALTER TABLE inventory_device ADD CONSTRAINT {key}
    FOREIGN KEY (fleet_id, {group}_id) REFERENCES inventory_{group} (fleet_id, id);
"""
    for group, key in _KEYS.items()
)
LET_GO = "".join(
    f"""
ALTER TABLE inventory_device DROP CONSTRAINT {key};
ALTER TABLE inventory_{group} DROP CONSTRAINT {group}_in_its_fleet;
"""
    for group, key in _KEYS.items()
)
