"""Whose fleets a person sees, and the word for acts upon queues."""

import django.db.models.deletion
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models


class Migration(migrations.Migration):
    # The log is read through while it is written to: its constraint is validated in a transaction of its own.
    atomic = False

    dependencies = [
        ('inventory', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='FleetMembership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('fleet', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='inventory.fleet', verbose_name='fleet')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='fleet_memberships', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'fleet of a person',
                'verbose_name_plural': 'fleets of people',
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('user', 'fleet'), name='fleetmembership_once')],
            },
        ),
        migrations.AlterField(
            model_name='auditevent',
            name='action',
            field=models.CharField(choices=[('authority:certificate:established', 'authority established'), ('certificate:enrolment:issued', 'first certificate issued'), ('certificate:renewal:issued', 'renewal issued'), ('certificate:infrastructure:issued', 'infrastructure certificate issued'), ('certificate:enrolment:refused', 'enrolment refused'), ('certificate:renewal:refused', 'renewal refused'), ('certificate:use:confirmed', 'first use of a certificate'), ('certificate:use:odd', 'unexpected sighting'), ('certificate:revocation:done', 'certificate revoked'), ('device:case:opened', 'case opened'), ('device:case:closed', 'case closed'), ('crl:publication:done', 'CRL published'), ('enrolment:secret:created', 'enrolment secret created'), ('device:registration:done', 'device registered'), ('inventory:import:started', 'import started'), ('inventory:import:stopped', 'import stopped'), ('inventory:import:finished', 'import finished'), ('campaign:planning:done', 'campaign planned'), ('campaign:run:started', 'campaign started'), ('campaign:run:paused', 'campaign paused'), ('campaign:run:finished', 'campaign finished'), ('user:login:succeeded', 'logged in'), ('user:login:failed', 'login failed'), ('user:token:created', 'API token created'), ('alert:acknowledgement:done', 'alerts acknowledged'), ('alert:mute:done', 'alerts muted'), ('list:export:started', 'export started'), ('list:export:ended', 'export ended'), ('queue:jobs:changed', 'queue changed by hand'), ('configuration:change:done', 'configuration changed')], max_length=64, verbose_name='action'),
        ),
        migrations.RemoveConstraint(
            model_name='auditevent',
            name='audit_action_in_vocabulary',
        ),
        AddConstraintNotValid(
            model_name='auditevent',
            constraint=models.CheckConstraint(condition=models.Q(('action__in', ['authority:certificate:established', 'certificate:enrolment:issued', 'certificate:renewal:issued', 'certificate:infrastructure:issued', 'certificate:enrolment:refused', 'certificate:renewal:refused', 'certificate:use:confirmed', 'certificate:use:odd', 'certificate:revocation:done', 'device:case:opened', 'device:case:closed', 'crl:publication:done', 'enrolment:secret:created', 'device:registration:done', 'inventory:import:started', 'inventory:import:stopped', 'inventory:import:finished', 'campaign:planning:done', 'campaign:run:started', 'campaign:run:paused', 'campaign:run:finished', 'user:login:succeeded', 'user:login:failed', 'user:token:created', 'alert:acknowledgement:done', 'alert:mute:done', 'list:export:started', 'list:export:ended', 'queue:jobs:changed', 'configuration:change:done'])), name='audit_action_in_vocabulary'),
        ),
        ValidateConstraint(
            model_name='auditevent',
            name='audit_action_in_vocabulary',
        ),
    ]
