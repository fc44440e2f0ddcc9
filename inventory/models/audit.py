"""The audit log: who did what to which object, when and why. Rows are written once, in the transaction of the act."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from inventory.models.access import ScopedQuerySet
from inventory.models.vocabulary import known


class AuditAction(models.TextChoices):
    """Closed vocabulary, `subject:thing:what happened`. The database knows it, too (`inventory_audit_action_known`)."""

    AUTHORITY_ESTABLISHED = "authority:certificate:established", _("authority established")
    CERTIFICATE_ENROLLED = "certificate:enrolment:issued", _("first certificate issued")
    CERTIFICATE_RENEWED = "certificate:renewal:issued", _("renewal issued")
    INFRASTRUCTURE_ISSUED = "certificate:infrastructure:issued", _("infrastructure certificate issued")
    ENROLMENT_REFUSED = "certificate:enrolment:refused", _("enrolment refused")
    RENEWAL_REFUSED = "certificate:renewal:refused", _("renewal refused")
    CERTIFICATE_CONFIRMED = "certificate:use:confirmed", _("first use of a certificate")
    GATEWAY_TRIED = "gateway:message:tried", _("message sent to try a gateway")
    UNEXPECTED_SIGHTING = "certificate:use:odd", _("unexpected sighting")
    CERTIFICATE_REVOKED = "certificate:revocation:done", _("certificate revoked")
    REVOCATION_RAISED = "certificate:revocation:raised", _("revocation raised to a compromise")
    CASE_OPENED = "device:case:opened", _("case opened")
    CASE_CLOSED = "device:case:closed", _("case closed")
    PROPOSAL_MADE = "approval:proposal:made", _("proposal made")
    PROPOSAL_APPROVED = "approval:proposal:approved", _("proposal approved")
    PROPOSAL_REJECTED = "approval:proposal:rejected", _("proposal sent back")
    PROPOSAL_WITHDRAWN = "approval:proposal:withdrawn", _("proposal withdrawn")
    PROPOSAL_EXPIRED = "approval:proposal:expired", _("proposal expired")
    CRL_PUBLISHED = "crl:publication:done", _("CRL published")
    SECRET_CREATED = "enrolment:secret:created", _("enrolment secret created")
    DEVICE_REGISTERED = "device:registration:done", _("device registered")
    IMPORT_STARTED = "inventory:import:started", _("import started")
    IMPORT_STOPPED = "inventory:import:stopped", _("import stopped")
    IMPORT_FINISHED = "inventory:import:finished", _("import finished")
    CAMPAIGN_PLANNED = "campaign:planning:done", _("campaign planned")
    CAMPAIGN_STARTED = "campaign:run:started", _("campaign started")
    CAMPAIGN_PAUSED = "campaign:run:paused", _("campaign paused")
    CAMPAIGN_STOPPED = "campaign:run:stopped", _("campaign stopped")
    CAMPAIGN_JOINED = "campaign:targets:joined", _("devices joined a campaign")
    CAMPAIGN_WAVE_OPENED = "campaign:wave:opened", _("campaign wave opened")
    CAMPAIGN_FINISHED = "campaign:run:finished", _("campaign finished")
    WORK_ORDER_OPENED = "field:order:opened", _("work order opened")
    WORK_ORDER_ASSIGNED = "field:order:assigned", _("work order assigned")
    WORK_ORDER_CLOSED = "field:order:closed", _("work order closed")
    LOGIN_SUCCEEDED = "user:login:succeeded", _("logged in")
    LOGIN_FAILED = "user:login:failed", _("login failed")
    LOGGED_OUT = "user:logout:done", _("logged out")
    PASSWORD_CHANGED = "user:password:changed", _("password changed")
    ACCESS_CHANGED = "user:access:changed", _("rights of a user changed")
    ROLE_CHANGED = "role:permissions:changed", _("permissions of a role changed")
    TOKEN_CREATED = "user:token:created", _("API token created")
    TOKEN_REVOKED = "user:token:revoked", _("API token withdrawn")
    ALERTS_ACKNOWLEDGED = "alert:acknowledgement:done", _("alerts acknowledged")
    ALERT_MUTED = "alert:mute:done", _("alerts muted")
    EXPORT_STARTED = "list:export:started", _("export started")
    EXPORT_ENDED = "list:export:ended", _("export ended")
    QUEUE_CHANGED = "queue:jobs:changed", _("queue changed by hand")
    CONFIGURATION_CHANGED = "configuration:change:done", _("configuration changed")


class ActorKind(models.TextChoices):
    USER = "user", _("user")
    DEVICE = "device", _("device")
    SYSTEM = "system", _("system")
    UNKNOWN = "unknown", _("unknown")


class AuditEventQuerySet(ScopedQuerySet["AuditEvent"]):
    # Acts upon what is no device may name other fleets: log-ins, exports, imports, settings.
    fleet_path = "device__fleet_id"


class AuditEvent(models.Model):
    """One act. Names are kept as text beside the keys, so that the entry is readable by itself.

    A database trigger refuses UPDATE and DELETE (migration 0002).
    """

    at = models.DateTimeField(_("time"))
    recorded_at = models.DateTimeField(_("recorded"), db_default=Now(), editable=False)
    action = models.CharField(_("action"), max_length=64, choices=AuditAction.choices)
    actor_kind = models.CharField(_("kind of actor"), max_length=16, choices=ActorKind.choices)
    actor = models.CharField(_("actor"), max_length=150)
    source_address = models.GenericIPAddressField(_("address"), null=True)
    request_id = models.CharField(_("request"), max_length=64, blank=True)
    object_name = models.CharField(_("object"), max_length=600)
    # That these are there is asked by whoever deletes one: docs/decisions/references.md
    device = models.ForeignKey(
        "inventory.Device",
        models.PROTECT,
        related_name="audit_events",
        null=True,
        verbose_name=_("device"),
        db_index=False,  # audit_device_latest begins with it
        db_constraint=False,
    )
    certificate = models.ForeignKey(
        "inventory.Certificate",
        models.PROTECT,
        related_name="audit_events",
        null=True,
        verbose_name=_("certificate"),
        db_constraint=False,
    )
    details = models.JSONField(_("details"), default=dict)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")
        constraints = [
            models.CheckConstraint(
                condition=known("action", "inventory_audit_action_known"), name="audit_action_in_vocabulary"
            ),
        ]
        indexes = [
            models.Index(fields=["-at", "-id"], name="audit_latest"),
            models.Index(fields=["action", "-at", "-id"], name="audit_action_latest"),
            models.Index(fields=["actor_kind", "-at", "-id"], name="audit_actor_kind_latest"),
            models.Index(fields=["actor", "-at", "-id"], name="audit_actor_latest"),
            models.Index(fields=["device", "-at", "-id"], name="audit_device_latest"),
            models.Index(
                fields=["source_address", "-at", "-id"],
                condition=models.Q(source_address__isnull=False),
                name="audit_address_latest",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()}: {self.object_name}"
