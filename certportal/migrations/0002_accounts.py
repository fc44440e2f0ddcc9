"""Names of accounts stay: a renamed account would pass for another person."""

from django.db import migrations

_HOLD_NAMES = """
CREATE FUNCTION certportal_name_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The name % of an account is not changed', OLD.username USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER user_name_stays BEFORE UPDATE OF username ON certportal_user
    FOR EACH ROW WHEN (OLD.username IS DISTINCT FROM NEW.username) EXECUTE FUNCTION certportal_name_stays();
"""
_LET_GO = """
DROP TRIGGER user_name_stays ON certportal_user;
DROP FUNCTION certportal_name_stays();
"""


class Migration(migrations.Migration):
    dependencies = [("certportal", "0001_initial")]

    operations = [migrations.RunSQL(_HOLD_NAMES, _LET_GO)]
