from django.db import migrations

from renewal.migrations.sql import target_counts


class Migration(migrations.Migration):
    """By itself, so that the locks of the triggers are not held while targets are counted."""

    dependencies = [
        ('renewal', '0002_targetcount'),
    ]

    operations = [
        migrations.RunSQL(target_counts.COUNT_THOSE_BEFORE, migrations.RunSQL.noop),
    ]
