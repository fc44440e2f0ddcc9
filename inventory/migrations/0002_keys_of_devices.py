"""What the gate needs to refuse one key on two devices, keys that leaked, and renewals without end.

Profiles and unexpected sightings are few; the constraints are validated apart all the same, so that no write waits.
"""

import django.core.validators
from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models

_ODDITIES = ["unknown", "revoked", "out_of_service", "shared_key", "compromised_key"]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("inventory", "0001_initial")]
    operations = [
        migrations.AddField(
            "profile",
            "max_unconfirmed",
            models.PositiveSmallIntegerField(
                default=3,
                help_text="So many renewals of one certificate may wait for their first use. Whoever holds its key gets no more.",
                validators=[django.core.validators.MinValueValidator(1)],
                verbose_name="most unused renewals",
            ),
        ),
        AddConstraintNotValid(
            "profile", models.CheckConstraint(condition=models.Q(max_unconfirmed__gte=1), name="profile_allows_a_renewal")
        ),
        ValidateConstraint("profile", "profile_allows_a_renewal"),
        migrations.AlterField(
            "unexpectedsighting",
            "oddity",
            models.CharField(
                choices=[
                    ("unknown", "unknown"),
                    ("revoked", "revoked"),
                    ("out_of_service", "device out of service"),
                    ("shared_key", "one key on two devices"),
                    ("compromised_key", "compromised key"),
                ],
                max_length=16,
                verbose_name="what is wrong",
            ),
        ),
        migrations.RemoveConstraint("unexpectedsighting", "unexpectedsighting_oddity_known"),
        AddConstraintNotValid(
            "unexpectedsighting",
            models.CheckConstraint(condition=models.Q(oddity__in=_ODDITIES), name="unexpectedsighting_oddity_known"),
        ),
        ValidateConstraint("unexpectedsighting", "unexpectedsighting_oddity_known"),
    ]
