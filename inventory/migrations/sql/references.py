"""What a certificate and an audit event refer to stays there: asked when it is to go, not when they are written.

A foreign key looks for the row that is named, and locks it, for each row that is written. Here that were five for a
certificate and its event: a fifth of what it costs PostgreSQL to store them, and every certificate locked the same
row of its authority and of its profile. docs/decisions/references.md
"""

# table, its column, and the table of which that is the key
_REFERENCES = (
    ("inventory_certificate", "authority_id", "inventory_authority"),
    ("inventory_certificate", "profile_id", "inventory_profile"),
    ("inventory_certificate", "device_id", "inventory_device"),
    ("inventory_auditevent", "device_id", "inventory_device"),
    ("inventory_auditevent", "certificate_id", "inventory_certificate"),
)

# Deferred like Django's foreign keys: what refers to a row may go after it, in the same transaction. The lock waits for
# those who have written and not committed, whose rows this session does not see.
KEEP = """
CREATE FUNCTION inventory_refuse_if_referred_to() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    referred_to boolean;
BEGIN
    IF NEW.id = OLD.id THEN
        RETURN NULL;
    END IF;
    EXECUTE format('LOCK TABLE %I IN SHARE MODE', TG_ARGV[0]);
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE %I = $1)', TG_ARGV[0], TG_ARGV[1]) INTO referred_to USING OLD.id;
    IF referred_to THEN
        RAISE EXCEPTION 'Row % of % is still referred to from %', OLD.id, TG_TABLE_NAME, TG_ARGV[0]
            USING ERRCODE = 'foreign_key_violation', TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
""" + "".join(
    f"""
CREATE CONSTRAINT TRIGGER {table.removeprefix("inventory_")}_refers_to AFTER DELETE OR UPDATE OF id ON {referred_to}
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION inventory_refuse_if_referred_to('{table}', '{column}');
"""
    for table, column, referred_to in _REFERENCES
)

LET_GO = "DROP FUNCTION inventory_refuse_if_referred_to() CASCADE;"
