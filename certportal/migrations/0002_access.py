"""Who may see and change the queues, and who sees all fleets: everybody who was there before this could be said."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('certportal', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Queue',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
            ],
            options={
                'verbose_name': 'queue of jobs',
                'verbose_name_plural': 'queues of jobs',
                'permissions': [('view_queues', 'Can see queues and jobs'), ('change_queues', 'Can delete, stop and requeue jobs')],
                'managed': False,
                'default_permissions': (),
            },
        ),
        migrations.AddField(
            model_name='user',
            name='all_fleets',
            field=models.BooleanField(default=True, help_text='Sees every fleet, those that come later too, and what belongs to none.', verbose_name='all fleets'),
        ),
        migrations.AlterField(
            model_name='user',
            name='all_fleets',
            field=models.BooleanField(default=False, help_text='Sees every fleet, those that come later too, and what belongs to none.', verbose_name='all fleets'),
        ),
    ]
