"""The issuance index: each authority numbers what it signs, by a sequence of its own."""

# A sequence waits for no transaction: a counter row would let each issuing transaction wait for the commit of the one
# before. Numbers that were drawn and not used leave a gap.
SEQUENCES = """
CREATE FUNCTION inventory_make_issuance_sequence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SEQUENCE %I MINVALUE 0 MAXVALUE 4294967295', 'inventory_issuance_' || NEW.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER make_issuance_sequence AFTER INSERT ON inventory_authority FOR EACH ROW
    WHEN (NEW.key_name IS NOT NULL) EXECUTE FUNCTION inventory_make_issuance_sequence();

CREATE FUNCTION inventory_drop_issuance_sequence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP SEQUENCE %I', 'inventory_issuance_' || OLD.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER drop_issuance_sequence AFTER DELETE ON inventory_authority FOR EACH ROW
    WHEN (OLD.key_name IS NOT NULL) EXECUTE FUNCTION inventory_drop_issuance_sequence();

DO $$
DECLARE
    authority bigint;
BEGIN
    FOR authority IN SELECT id FROM inventory_authority WHERE key_name IS NOT NULL LOOP
        EXECUTE format('CREATE SEQUENCE %I MINVALUE 0 MAXVALUE 4294967295', 'inventory_issuance_' || authority);
    END LOOP;
END
$$;
"""

# The lock makes a batch contiguous and belongs to the session, not to the transaction: it is held for microseconds
# whatever the caller does afterwards. So whatever ends the statement has to release it, and a lock that was not yet
# held may be released too.
DRAW = """
CREATE FUNCTION inventory_draw_issuance_indexes(authority bigint, number bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    numbers regclass := 'inventory_issuance_' || authority;
    first bigint;
BEGIN
    PERFORM pg_advisory_lock(numbers::oid::integer, 1);
    first := nextval(numbers);
    IF number > 1 THEN
        PERFORM setval(numbers, first + number - 1);
    END IF;
    PERFORM pg_advisory_unlock(numbers::oid::integer, 1);
    RETURN first;
EXCEPTION WHEN OTHERS OR query_canceled THEN
    PERFORM pg_advisory_unlock(numbers::oid::integer, 1);
    RAISE;
END
$$;
"""

FORGET = """
DROP FUNCTION inventory_draw_issuance_indexes(bigint, bigint);
DROP FUNCTION inventory_make_issuance_sequence() CASCADE;
DROP FUNCTION inventory_drop_issuance_sequence() CASCADE;
DO $$
DECLARE
    authority bigint;
BEGIN
    FOR authority IN SELECT id FROM inventory_authority WHERE key_name IS NOT NULL LOOP
        EXECUTE format('DROP SEQUENCE %I', 'inventory_issuance_' || authority);
    END LOOP;
END
$$;
"""
