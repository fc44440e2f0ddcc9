"""The trigger that refuses to change or delete audit events."""

# Row triggers leave TRUNCATE alone, which only the owner of the table may run; a verifier finds that.
FORBID = """
CREATE FUNCTION inventory_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The audit log is append-only: % of event % refused', TG_OP, OLD.id
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON inventory_auditevent
    FOR EACH ROW EXECUTE FUNCTION inventory_audit_is_append_only();
"""
ALLOW = """
DROP TRIGGER audit_is_append_only ON inventory_auditevent;
DROP FUNCTION inventory_audit_is_append_only();
"""
