from django.db import migrations, models

from renewal.migrations.sql import target_counts


class Migration(migrations.Migration):

    dependencies = [
        ('renewal', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='TargetCount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('campaign_id', models.BigIntegerField()),
                ('state', models.CharField(max_length=16)),
                ('number', models.IntegerField()),
            ],
            options={
                'indexes': [models.Index(fields=['campaign_id', 'state'], include=('number',), name='targetcount_of_campaign')],
            },
        ),
        migrations.RunSQL(target_counts.COUNT, target_counts.FORGET),
    ]
