from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("renewal", "0001_initial")]

    operations = [
        migrations.AddField(
            "target", "wake_expected_at", models.DateTimeField("waits for the wake at", editable=False, null=True)
        ),
        migrations.AddField(
            "attempt", "wake_expected_at", models.DateTimeField("sent for the wake at", editable=False, null=True)
        ),
    ]
