from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models


class Migration(migrations.Migration):
    """Alerts may be about a channel. Each step by itself: the constraint is validated under a lock that nobody feels."""

    atomic = False

    dependencies = [("inventory", "0001_initial")]

    operations = [
        migrations.AlterField(
            model_name="alert",
            name="kind",
            field=models.CharField(
                choices=[
                    ("device_expiry", "device certificate ends"),
                    ("own_expiry", "certificate of the portal ends"),
                    ("authority_too_short", "authority can no longer sign a full-length certificate"),
                    ("crl", "CRL near its end"),
                    ("unexpected_sighting", "seen alive, though it should not be"),
                    ("channel", "messages to devices do not leave"),
                ],
                max_length=24,
                verbose_name="about",
            ),
        ),
        migrations.RemoveConstraint(model_name="alert", name="alert_kind_known"),
        AddConstraintNotValid(
            model_name="alert",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    kind__in=[
                        "device_expiry",
                        "own_expiry",
                        "authority_too_short",
                        "crl",
                        "unexpected_sighting",
                        "channel",
                    ]
                ),
                name="alert_kind_known",
            ),
        ),
        ValidateConstraint(model_name="alert", name="alert_kind_known"),
    ]
