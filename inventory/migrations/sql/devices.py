"""How triggers go with devices: find that of each row, and keep a row for each in another table.

They find it by its key, whatever PostgreSQL believes about the table. It keeps the plan of a trigger's first call: a
join that suits one row must suit a hundred thousand, so they are lateral. And it may believe that devices fill one
page, or that there are none, since vacuum came during the first load. Then to read them all for each row, or an index
in which the key is not first, looks as good as the key.
"""

# A range, because of one value PostgreSQL takes any index: only the primary key gives a range in order without a sort.
BY_KEY = "id BETWEEN device_id AND device_id ORDER BY id LIMIT 1"
NO_OTHER_PLAN = "SET enable_seqscan = off SET enable_sort = off"


def rows_of_devices(table: str, name: str) -> str:
    """Return the triggers by which `table` gets a row with each device and loses it with it; `name` begins theirs.

    Where the ids of devices are few or many, in one statement. Before they delete, `count_delete` has read: of triggers
    of one event the first by name is called first.
    """
    return f"""
CREATE FUNCTION inventory_{name}_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {table} (device_id) SELECT id FROM new_rows;
    RETURN NULL;
END
$$;
CREATE TRIGGER {name}_insert AFTER INSERT ON inventory_device
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION inventory_{name}_insert();

CREATE FUNCTION inventory_{name}_delete() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    DELETE FROM {table} WHERE device_id IN (SELECT id FROM old_rows);
    RETURN NULL;
END
$$;
CREATE TRIGGER {name}_delete AFTER DELETE ON inventory_device
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION inventory_{name}_delete();

CREATE FUNCTION inventory_{name}_truncation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM {table};
    RETURN NULL;
END
$$;
CREATE TRIGGER {name}_truncation AFTER TRUNCATE ON inventory_device
    FOR EACH STATEMENT EXECUTE FUNCTION inventory_{name}_truncation();
"""  # noqa: S608 - names of ours


def forget_rows_of_devices(name: str) -> str:
    """Return what drops the triggers that `name` begins."""
    events = ("insert", "delete", "truncation")
    return "".join(f"DROP FUNCTION inventory_{name}_{event}() CASCADE;" for event in events)
