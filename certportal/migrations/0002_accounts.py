"""Accounts: names that stay, owners of service accounts, and brakes on guessing."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q

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

    operations = [
        migrations.RunSQL(_HOLD_NAMES, _LET_GO),
        migrations.AddField(
            "user",
            "owner",
            models.ForeignKey(
                blank=True,
                help_text="Of a service account: the person who answers for it, and who is no second person beside it.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="service_accounts",
                to=settings.AUTH_USER_MODEL,
                verbose_name="owner",
            ),
        ),
        migrations.AddConstraint(
            "user", models.CheckConstraint(condition=~Q(owner=F("pk")), name="user_not_its_own_owner")
        ),
        migrations.CreateModel(
            "Brake",
            [
                ("key", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("level", models.FloatField()),
                ("at", models.DateTimeField(db_index=True)),
            ],
        ),
    ]
