"""What is named by rows that are written by the million stays there: asked when it is to go, not when they are written.

A foreign key looks for the row that is named, and locks it, for each row that is written. Here that were five for a
certificate and its event: a fifth of what it costs PostgreSQL to store them, and every certificate locked the same
row of its authority and of its profile. docs/decisions/references.md
"""

from collections.abc import Sequence
from typing import NamedTuple


class Reference(NamedTuple):
    """A column that holds keys of another table, without a foreign key."""

    table: str
    column: str
    referred_to: str

    @property
    def guard(self) -> str:
        """The name of the trigger that keeps what it refers to."""
        return f"{self.table.partition('_')[2]}_{self.column.removesuffix('_id')}_stays"


_REFERENCES = (
    Reference("inventory_certificate", "authority_id", "inventory_authority"),
    Reference("inventory_certificate", "profile_id", "inventory_profile"),
    Reference("inventory_certificate", "device_id", "inventory_device"),
    Reference("inventory_auditevent", "device_id", "inventory_device"),
    Reference("inventory_auditevent", "certificate_id", "inventory_certificate"),
    Reference("inventory_alert", "certificate_id", "inventory_certificate"),
    Reference("inventory_alert", "policy_id", "inventory_alertpolicy"),
    Reference("inventory_alert", "run_id", "inventory_alertrun"),
)


def guards(references: Sequence[Reference]) -> str:
    """Return triggers that refuse to delete what `references` name, or to change its key, while they name it.

    Deferred like Django's foreign keys: what refers to a row may go after it, in the same transaction.
    """
    return "".join(
        f"""
CREATE CONSTRAINT TRIGGER {each.guard} AFTER DELETE OR UPDATE OF id ON {each.referred_to}
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION inventory_refuse_if_referred_to('{each.table}', '{each.column}');
"""
        for each in references
    )


def no_guards(references: Sequence[Reference]) -> str:
    return "".join(f"DROP TRIGGER {each.guard} ON {each.referred_to};\n" for each in references)


# The lock waits for those who have written and not committed, whose rows this session does not see.
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
""" + guards(_REFERENCES)

LET_GO = "DROP FUNCTION inventory_refuse_if_referred_to() CASCADE;"
