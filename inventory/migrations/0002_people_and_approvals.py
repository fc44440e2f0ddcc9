"""Words of the audit log for credentials and decisions of two people."""

from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models

_ACTIONS = [
    ("authority:certificate:established", "authority established"),
    ("certificate:enrolment:issued", "first certificate issued"),
    ("certificate:renewal:issued", "renewal issued"),
    ("certificate:infrastructure:issued", "infrastructure certificate issued"),
    ("certificate:enrolment:refused", "enrolment refused"),
    ("certificate:renewal:refused", "renewal refused"),
    ("certificate:use:confirmed", "first use of a certificate"),
    ("certificate:use:odd", "unexpected sighting"),
    ("certificate:revocation:done", "certificate revoked"),
    ("device:case:opened", "case opened"),
    ("device:case:closed", "case closed"),
    ("crl:publication:done", "CRL published"),
    ("enrolment:secret:created", "enrolment secret created"),
    ("device:registration:done", "device registered"),
    ("inventory:import:started", "import started"),
    ("inventory:import:stopped", "import stopped"),
    ("inventory:import:finished", "import finished"),
    ("campaign:planning:done", "campaign planned"),
    ("campaign:run:started", "campaign started"),
    ("campaign:run:paused", "campaign paused"),
    ("campaign:run:finished", "campaign finished"),
    ("user:login:succeeded", "logged in"),
    ("user:login:failed", "login failed"),
    ("user:logout:done", "logged out"),
    ("user:password:changed", "password changed"),
    ("user:access:changed", "rights of a user changed"),
    ("role:permissions:changed", "permissions of a role changed"),
    ("user:token:created", "API token created"),
    ("user:token:revoked", "API token withdrawn"),
    ("alert:acknowledgement:done", "alerts acknowledged"),
    ("alert:mute:done", "alerts muted"),
    ("list:export:started", "export started"),
    ("list:export:ended", "export ended"),
    ("configuration:change:done", "configuration changed"),
]


class Migration(migrations.Migration):
    # Statements commit one by one: the log is long, and is written to while its constraint is validated.
    atomic = False

    dependencies = [("inventory", "0001_initial")]

    operations = [
        migrations.RemoveConstraint("auditevent", "audit_action_in_vocabulary"),
        migrations.AlterField(
            "auditevent", "action", models.CharField(choices=_ACTIONS, max_length=64, verbose_name="action")
        ),
        AddConstraintNotValid(
            "auditevent",
            models.CheckConstraint(
                condition=models.Q(action__in=[word for word, _label in _ACTIONS]), name="audit_action_in_vocabulary"
            ),
        ),
        ValidateConstraint("auditevent", "audit_action_in_vocabulary"),
    ]
