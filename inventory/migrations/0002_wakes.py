from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0001_initial")]

    operations = [
        migrations.AddField(
            "devicepresence", "wakes", ArrayField(models.IntegerField(), editable=False, null=True, size=None)
        ),
    ]
