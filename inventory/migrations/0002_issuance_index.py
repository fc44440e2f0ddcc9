from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models

from inventory.migrations.sql import issuance

# Unique indexes of constraints are not made concurrently by Django.
UNIQUE = """
CREATE UNIQUE INDEX CONCURRENTLY certificate_issuance_index_unique_for_issuer
ON inventory_certificate (authority_id, issuance_index) WHERE issuance_index IS NOT NULL
"""
FORGET_UNIQUE = "DROP INDEX CONCURRENTLY certificate_issuance_index_unique_for_issuer"


class Migration(migrations.Migration):
    # Writers go on while the index is made.
    atomic = False

    dependencies = [("inventory", "0001_initial")]

    operations = [
        migrations.AddField(
            "certificate",
            "issuance_index",
            models.BigIntegerField(editable=False, null=True, verbose_name="issuance index"),
        ),
        AddConstraintNotValid(
            "certificate",
            models.CheckConstraint(
                condition=models.Q(("issuance_index__range", (0, 2**32 - 1))), name="certificate_issuance_index_32_bits"
            ),
        ),
        ValidateConstraint("certificate", "certificate_issuance_index_32_bits"),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(UNIQUE, FORGET_UNIQUE)],
            state_operations=[
                migrations.AddConstraint(
                    "certificate",
                    models.UniqueConstraint(
                        condition=models.Q(("issuance_index__isnull", False)),
                        fields=("authority", "issuance_index"),
                        name="certificate_issuance_index_unique_for_issuer",
                    ),
                )
            ],
        ),
        migrations.RunSQL(issuance.SEQUENCES + issuance.DRAW, issuance.FORGET),
    ]
