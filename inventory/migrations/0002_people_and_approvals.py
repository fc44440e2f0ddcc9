"""Decisions of two people by account, which cases use, and the words of the audit log for them and for credentials."""

import hashlib
import json
from datetime import UTC, timedelta

import django.db.models.deletion
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models
from django.db.models import F, Q

from inventory.migrations.sql import frozen_proposals

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
    ("approval:proposal:made", "proposal made"),
    ("approval:proposal:approved", "proposal approved"),
    ("approval:proposal:rejected", "proposal sent back"),
    ("approval:proposal:withdrawn", "proposal withdrawn"),
    ("approval:proposal:expired", "proposal expired"),
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
_KINDS = [("device:case:verdict", "verdict on a revoked device")]
_STATES = [
    ("waiting", "waits for a second person"),
    ("approved", "approved and carried out"),
    ("rejected", "sent back"),
    ("withdrawn", "withdrawn"),
    ("expired", "expired"),
]
_VERDICTS = ["cleared", "retired"]
_WITHOUT_VERDICT = ["dismissed", "withdrawn", "lapsed"]
_OUTCOMES = [
    ("cleared", "cleared"),
    ("retired", "retired"),
    ("dismissed", "sent back"),
    ("withdrawn", "withdrawn"),
    ("lapsed", "not decided in time"),
]
_LIFETIME = timedelta(days=30)


def _person(**options):
    return models.ForeignKey(
        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL, **options
    )


def _give_cases_their_approval(apps, schema_editor):
    """Make the proposal of each case from the names in it, as accounts; fails where no account has such a name."""
    Case, Proposal = apps.get_model("inventory", "Case"), apps.get_model("inventory", "Proposal")
    people = dict(apps.get_model(settings.AUTH_USER_MODEL).objects.values_list("username", "pk"))
    for case in Case.objects.select_related("device"):
        payload = {
            "certificate": case.certificate_id,
            "device": case.device_id,
            "serial": case.device.serial,
            "verdict": case.proposal,
        }
        end = max(case.closed_at or case.opened_at, case.opened_at) + _LIFETIME
        frozen = {
            "kind": "device:case:verdict",
            "subject": f"certificate:{case.certificate_id}",
            "title": f"{case.device.serial}: {case.proposal}",
            "payload": _canonical(payload),
            "reason": case.finding,
            "proposer": people[case.opened_by],
            "proposed_at": case.opened_at.astimezone(UTC).isoformat(),
            "expires_at": end.astimezone(UTC).isoformat(),
        }
        state = "waiting" if case.closed_at is None else "rejected" if case.outcome == "dismissed" else "approved"
        columns = {**frozen, "proposed_at": case.opened_at, "expires_at": end, "proposer_id": frozen["proposer"]}
        del columns["proposer"]
        case.approval = Proposal.objects.create(
            **columns,
            sha256=hashlib.sha256(_canonical(frozen).encode()).digest(),
            state=state,
            decider_id=people[case.closed_by] if case.closed_by else None,
            ended_at=case.closed_at,
            note=case.note,
        )
        case.save(update_fields=["approval"])


def _canonical(content):
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


class Migration(migrations.Migration):
    # Statements commit one by one: the log is long, and is written to while its constraint is validated.
    atomic = False

    dependencies = [("inventory", "0001_initial"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.CreateModel(
            "Proposal",
            [
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("kind", models.CharField(choices=_KINDS, max_length=64, verbose_name="kind")),
                ("subject", models.CharField(max_length=100)),
                ("title", models.CharField(max_length=300, verbose_name="proposal")),
                ("payload", models.TextField()),
                ("reason", models.CharField(max_length=1000, verbose_name="reason")),
                ("proposer", _person(verbose_name="proposed by")),
                ("proposed_at", models.DateTimeField(verbose_name="proposed")),
                ("expires_at", models.DateTimeField(verbose_name="expires")),
                ("sha256", models.BinaryField(max_length=32)),
                (
                    "state",
                    models.CharField(choices=_STATES, default="waiting", max_length=16, verbose_name="state"),
                ),
                ("decider", _person(null=True, verbose_name="decided by")),
                ("ended_at", models.DateTimeField(null=True, verbose_name="ended")),
                ("note", models.CharField(blank=True, max_length=1000, verbose_name="note")),
            ],
            options={
                "verbose_name": "proposal",
                "verbose_name_plural": "proposals",
                "constraints": [
                    models.CheckConstraint(condition=Q(kind__in=[kind for kind, _label in _KINDS]), name="proposal_kind_known"),
                    models.CheckConstraint(
                        condition=Q(expires_at__gt=F("proposed_at")), name="proposal_expires_later"
                    ),
                    models.CheckConstraint(condition=~Q(decider=F("proposer")), name="proposal_decided_by_a_second_person"),
                    models.CheckConstraint(
                        condition=Q(state="waiting", decider=None, ended_at=None, note="")
                        | Q(state__in=("approved", "rejected"), decider__isnull=False, ended_at__lt=F("expires_at"))
                        | Q(state="withdrawn", decider=None, ended_at__isnull=False)
                        | Q(state="expired", decider=None, ended_at__gte=F("expires_at")),
                        name="proposal_state_fits_its_end",
                    ),
                    models.UniqueConstraint(
                        fields=["kind", "subject"], condition=Q(state="waiting"), name="proposal_one_waits_for_a_subject"
                    ),
                ],
                "indexes": [
                    models.Index(fields=["-proposed_at", "-id"], name="proposal_latest"),
                    models.Index(fields=["expires_at"], condition=Q(state="waiting"), name="proposal_waiting"),
                ],
            },
        ),
        migrations.RunSQL(frozen_proposals.FREEZE, frozen_proposals.THAW),
        migrations.AddField(
            "case",
            "approval",
            models.OneToOneField(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="case",
                to="inventory.proposal",
                verbose_name="approval",
            ),
        ),
        migrations.RunPython(_give_cases_their_approval, migrations.RunPython.noop, atomic=True),
        migrations.AlterField(
            "case",
            "approval",
            models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="case",
                to="inventory.proposal",
                verbose_name="approval",
            ),
        ),
        migrations.RemoveConstraint("case", "case_closed_by_somebody_with_an_outcome"),
        migrations.RemoveConstraint("case", "case_closed_by_a_second_person"),
        migrations.RemoveConstraint("case", "case_outcome_was_proposed"),
        migrations.RemoveField("case", "closed_by"),
        migrations.RemoveField("case", "finding"),
        migrations.RemoveField("case", "note"),
        migrations.RemoveField("case", "opened_by"),
        migrations.AlterField(
            "case",
            "outcome",
            models.CharField(blank=True, choices=_OUTCOMES, max_length=16, verbose_name="outcome"),
        ),
        migrations.AddConstraint(
            "case",
            models.CheckConstraint(
                condition=Q(closed_at=None, outcome="")
                | Q(closed_at__isnull=False, outcome__in=[outcome for outcome, _label in _OUTCOMES]),
                name="case_closed_with_an_outcome",
            ),
        ),
        migrations.AddConstraint(
            "case",
            models.CheckConstraint(
                condition=Q(proposal__in=_VERDICTS) & (Q(outcome__in=["", *_WITHOUT_VERDICT]) | Q(outcome=F("proposal"))),
                name="case_outcome_was_proposed",
            ),
        ),
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
