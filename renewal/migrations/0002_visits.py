from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("renewal", "0001_initial")]

    operations = [
        # Orders that are open already are visited as before: at once.
        migrations.AddField(
            model_name="workorder",
            name="go_from",
            field=models.DateTimeField(db_default=Now(), verbose_name="go from"),
        ),
    ]
