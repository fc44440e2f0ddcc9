"""The trigger that keeps a proposal as it was made, and a decision as it was taken."""

FREEZE = """
CREATE FUNCTION inventory_proposal_is_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'A proposal stays as it was made, and ends once: % of proposal % refused', TG_OP, OLD.id
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER proposal_is_frozen BEFORE UPDATE ON inventory_proposal FOR EACH ROW
    WHEN (OLD.state <> 'waiting'
        OR (OLD.kind, OLD.subject, OLD.title, OLD.payload, OLD.reason, OLD.proposer_id, OLD.proposed_at,
            OLD.expires_at, OLD.sha256, OLD.fleet_id)
        IS DISTINCT FROM (NEW.kind, NEW.subject, NEW.title, NEW.payload, NEW.reason, NEW.proposer_id, NEW.proposed_at,
            NEW.expires_at, NEW.sha256, NEW.fleet_id))
    EXECUTE FUNCTION inventory_proposal_is_frozen();
CREATE TRIGGER proposal_is_kept BEFORE DELETE ON inventory_proposal
    FOR EACH ROW EXECUTE FUNCTION inventory_proposal_is_frozen();
"""
THAW = """
DROP TRIGGER proposal_is_frozen ON inventory_proposal;
DROP TRIGGER proposal_is_kept ON inventory_proposal;
DROP FUNCTION inventory_proposal_is_frozen();
"""
