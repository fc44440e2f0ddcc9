"""How often workers took up an import since its last block, so that none is started for ever."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0001_initial")]

    operations = [
        migrations.AddField("importrun", "attempts", models.PositiveSmallIntegerField(default=0)),
    ]
