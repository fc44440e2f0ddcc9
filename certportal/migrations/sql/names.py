"""The trigger that keeps the name of an account for life."""

HOLD = """
CREATE FUNCTION certportal_name_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The name % of an account is not changed', OLD.username USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER user_name_stays BEFORE UPDATE OF username ON certportal_user
    FOR EACH ROW WHEN (OLD.username IS DISTINCT FROM NEW.username) EXECUTE FUNCTION certportal_name_stays();
"""
LET_GO = """
DROP TRIGGER user_name_stays ON certportal_user;
DROP FUNCTION certportal_name_stays();
"""
