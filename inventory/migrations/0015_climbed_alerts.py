from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0014_ends_of_standing_certificates'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='alert',
            index=models.Index(condition=models.Q(('level__gt', 1), ('resolved_at', None)), fields=['urgency', 'ends_at', 'id'], name='alert_climbed'),
        ),
    ]
