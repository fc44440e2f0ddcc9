"""Early warning: who is told what about a certificate that ends, until when, and what became of it."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, validate_email
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.models.access import PortalQuerySet, ScopedQuerySet
from inventory.models.device import Connectivity


class Channel(models.TextChoices):
    """How a digest travels."""

    EMAIL = "email", _("e-mail")
    WEBHOOK = "webhook", _("signed webhook (Standard Webhooks)")
    SLACK = "slack", _("Slack webhook")
    TEAMS = "teams", _("Teams webhook")


class RecipientQuerySet(PortalQuerySet["Recipient"]):
    pass


class Recipient(models.Model):
    """Somebody who gets at most one digest a sweep, however many policies name them."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    channel = models.CharField(_("channel"), max_length=16, choices=Channel.choices)
    address = models.CharField(_("address"), max_length=500, help_text=_("An e-mail address, or the webhook's URL."))
    # The signing secret of a webhook follows from the portal's own key and this number, so none lies in the database.
    secret_number = models.PositiveIntegerField(
        _("number of the secret"), default=1, help_text=_("Raise it to replace the signing secret of a webhook.")
    )

    objects = RecipientQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert recipient")
        verbose_name_plural = _("alert recipients")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["channel", "address"], name="alert_recipient_named_once"),
            models.CheckConstraint(condition=Q(channel__in=Channel.values), name="alert_channel_known"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse an address that does not fit the channel. Raises ValidationError."""
        if self.channel == Channel.EMAIL:
            try:
                validate_email(self.address)
            except ValidationError as error:
                raise ValidationError({"address": error.messages}) from None
        elif not self.address.startswith(("https://", "http://")):
            raise ValidationError({"address": _("Give the whole URL of the webhook, beginning with https://.")})


class AppliesTo(models.TextChoices):
    """Whose certificates a policy watches."""

    ALWAYS_ON = Connectivity.ALWAYS_ON.value, _("devices always on")
    DAILY = Connectivity.DAILY.value, _("devices on daily")
    INTERMITTENT = Connectivity.INTERMITTENT.value, _("devices on intermittently")
    PORTAL = "portal", _("the portal's own certificates and CRLs, and unexpected sightings")


def default_thresholds() -> list[int]:
    return [90, 60, 30]


class AlertPolicyQuerySet(ScopedQuerySet["AlertPolicy"]):
    def _belonging_to(self, ids: Sequence[int]) -> Q:
        """Those of the fleets, and those that hold for every fleet."""
        return Q(fleet_id__in=ids) | Q(fleet_id=None) & ~Q(applies_to=AppliesTo.PORTAL)


class AlertPolicy(models.Model):
    """How many days before its end a certificate raises an alert. Of several policies the most specific applies."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    applies_to = models.CharField(_("applies to"), max_length=16, choices=AppliesTo.choices)
    fleet = models.ForeignKey(
        "inventory.Fleet", models.PROTECT, related_name="+", null=True, blank=True, verbose_name=_("fleet")
    )
    profile = models.ForeignKey(
        "inventory.Profile", models.PROTECT, related_name="+", null=True, blank=True, verbose_name=_("profile")
    )
    thresholds = ArrayField(
        models.PositiveSmallIntegerField(validators=[MaxValueValidator(3650)]),
        verbose_name=_("thresholds, days"),
        default=default_thresholds,
        blank=True,
        size=10,
        help_text=_("Days before the end, separated by commas. The portal's own have theirs built in: leave it empty."),
    )
    enabled = models.BooleanField(_("enabled"), default=True)

    objects = AlertPolicyQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert policy")
        verbose_name_plural = _("alert policies")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["applies_to", "fleet", "profile"], nulls_distinct=False, name="alert_policy_one_for_a_scope"
            ),
            models.CheckConstraint(condition=Q(applies_to__in=AppliesTo.values), name="alert_policy_scope_known"),
            models.CheckConstraint(
                condition=Q(applies_to=AppliesTo.PORTAL, fleet__isnull=True, profile__isnull=True, thresholds__len=0)
                | ~Q(applies_to=AppliesTo.PORTAL) & Q(thresholds__len__gt=0),
                name="alert_policy_thresholds_iff_devices",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a policy that could never apply, and sort its thresholds (days). Raises ValidationError."""
        portal = self.applies_to == AppliesTo.PORTAL
        if portal and (self.fleet_id or self.profile_id or self.thresholds):
            raise ValidationError(_("A policy for the portal's own has no fleet, no profile and no thresholds."))
        if not portal and not self.thresholds:
            raise ValidationError({"thresholds": _("Name at least one threshold, such as 90, 60, 30.")})
        self.thresholds = sorted(set(self.thresholds or []), reverse=True)


class AlertLevel(models.Model):
    """A step of a policy: who is notified on it, how often again, and after how much silence the next step follows."""

    policy = models.ForeignKey(AlertPolicy, models.CASCADE, related_name="levels", verbose_name=_("policy"))
    number = models.PositiveSmallIntegerField(_("level"), validators=[MinValueValidator(1), MaxValueValidator(9)])
    recipients = models.ManyToManyField(Recipient, related_name="levels", blank=True, verbose_name=_("recipients"))
    repeat_every = models.DurationField(
        _("repeat every"), help_text=_("Until somebody acknowledges, for example every 7 d.")
    )
    silence = models.DurationField(
        _("silence before the next level"), help_text=_("Unacknowledged for so long, the next level is told.")
    )

    class Meta:
        verbose_name = _("level")
        verbose_name_plural = _("levels")
        ordering = ["policy", "number"]
        constraints = [
            models.UniqueConstraint(fields=["policy", "number"], name="alert_level_once_in_policy"),
            models.CheckConstraint(
                condition=Q(number__gte=1, repeat_every__gt=timedelta(0), silence__gt=timedelta(0)),
                name="alert_level_takes_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.policy} {self.number}"


class AlertRun(models.Model):
    """One sweep. While it is unfinished, nobody has been notified of its alerts: the next sweep continues it."""

    started_at = models.DateTimeField(_("started"))
    finished_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name = _("alert sweep")
        verbose_name_plural = _("alert sweeps")
        constraints = [
            models.UniqueConstraint(
                models.Case(models.When(finished_at=None, then=1)),
                condition=Q(finished_at=None),
                name="alert_run_one_unfinished",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"


class AlertKind(models.TextChoices):
    """What an alert is about."""

    DEVICE_EXPIRY = "device_expiry", _("device certificate ends")
    OWN_EXPIRY = "own_expiry", _("certificate of the portal ends")
    AUTHORITY_TOO_SHORT = "authority_too_short", _("authority can no longer sign a full-length certificate")
    CRL = "crl", _("CRL near its end")
    UNEXPECTED_SIGHTING = "unexpected_sighting", _("seen alive, though it should not be")
    CHANNEL = "channel", _("messages to devices do not leave")


class Urgency(models.IntegerChoices):
    """Alerts about the portal come first in every list: while it is in trouble, no device can renew."""

    PORTAL = 0, _("the portal's own, and unexpected sightings")
    DEVICE = 1, _("device")


class Resolution(models.TextChoices):
    """Why an alert ended."""

    RENEWED = "renewed", _("renewed")
    REVOKED = "revoked", _("revoked")
    OUT_OF_SERVICE = "out_of_service", _("device out of service")
    TIGHTENED = "tightened", _("a nearer threshold took over")
    SETTLED = "settled", _("no longer so")


class AlertQuerySet(ScopedQuerySet["Alert"]):
    # The portal's own alerts are of no fleet.
    fleet_path = "certificate__device__fleet_id"

    def open(self) -> "AlertQuerySet":
        """Alerts whose condition still holds."""
        return self.filter(resolved_at=None)

    def waiting(self) -> "AlertQuerySet":
        """Open alerts that nobody has acknowledged."""
        return self.open().filter(acknowledged_at=None)


class Alert(models.Model):
    """One for each certificate and threshold, or for each thing of the portal's own. Its level rises with silence."""

    kind = models.CharField(_("about"), max_length=24, choices=AlertKind.choices)
    urgency = models.PositiveSmallIntegerField(_("urgency"), choices=Urgency.choices)
    # The thing when it is the portal's own, such as `mfg-1/0` for a CRL; the certificate's device says it otherwise.
    about = models.CharField(_("subject"), max_length=600, blank=True)
    # A sweep writes a million rows. That what they refer to is there is asked by whoever deletes it:
    # docs/decisions/references.md
    certificate = models.ForeignKey(
        "inventory.Certificate",
        models.PROTECT,
        related_name="alerts",
        null=True,
        db_constraint=False,
        db_index=False,
        verbose_name=_("certificate"),
    )
    policy = models.ForeignKey(
        AlertPolicy,
        models.PROTECT,
        related_name="alerts",
        db_constraint=False,
        db_index=False,
        verbose_name=_("policy"),
    )
    threshold = models.PositiveSmallIntegerField(_("threshold, days"))
    ends_at = models.DateTimeField(_("ends"))
    raised_at = models.DateTimeField(_("raised"))
    level = models.PositiveSmallIntegerField(_("level"), default=1)
    level_since = models.DateTimeField(_("on this level since"))
    # Null until first notified: it was muted when raised, or no sweep has run since.
    notified_at = models.DateTimeField(_("last told"), null=True)
    run = models.ForeignKey(
        AlertRun, models.PROTECT, related_name="alerts", null=True, db_constraint=False, verbose_name=_("told in sweep")
    )
    acknowledged_at = models.DateTimeField(_("acknowledged"), null=True)
    acknowledged_by = models.CharField(_("acknowledged by"), max_length=150, blank=True)
    note = models.CharField(_("note"), max_length=500, blank=True)
    resolved_at = models.DateTimeField(_("resolved"), null=True)
    resolution = models.CharField(_("resolution"), max_length=16, choices=Resolution.choices, blank=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = [
            models.UniqueConstraint(
                fields=["certificate", "threshold"],
                condition=Q(urgency=Urgency.DEVICE),
                name="alert_once_for_certificate_and_threshold",
            ),
            models.UniqueConstraint(
                fields=["kind", "about", "threshold"],
                condition=Q(urgency=Urgency.PORTAL, resolved_at=None),
                name="alert_open_once_for_own",
            ),
            models.CheckConstraint(condition=Q(kind__in=AlertKind.values), name="alert_kind_known"),
            models.CheckConstraint(
                condition=Q(kind=AlertKind.DEVICE_EXPIRY, urgency=Urgency.DEVICE, certificate__isnull=False, about="")
                | ~Q(kind=AlertKind.DEVICE_EXPIRY) & Q(urgency=Urgency.PORTAL) & ~Q(about=""),
                name="alert_names_its_subject",
            ),
            models.CheckConstraint(
                condition=Q(resolved_at=None, resolution="")
                | Q(resolved_at__isnull=False, resolution__in=Resolution.values),
                name="alert_resolved_has_date_and_reason",
            ),
            models.CheckConstraint(
                condition=Q(acknowledged_at=None, acknowledged_by="")
                | Q(acknowledged_at__isnull=False) & ~Q(acknowledged_by=""),
                name="alert_acknowledged_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(notified_at=None, run=None) | Q(notified_at__isnull=False, run__isnull=False),
                name="alert_told_in_a_run",
            ),
        ]
        indexes = [
            # Worst first, and the order in which sweeps walk.
            models.Index(fields=["urgency", "ends_at", "id"], condition=Q(resolved_at=None), name="alert_open"),
            # The few that nobody answered on their first level.
            models.Index(
                fields=["urgency", "ends_at", "id"], condition=Q(resolved_at=None, level__gt=1), name="alert_climbed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} #{self.pk}"


class DeliveryQuerySet(PortalQuerySet["Delivery"]):
    pass


class Delivery(models.Model):
    """One digest for one recipient of one sweep, written in the transaction that ends the sweep: an outbox.

    It is sent at least once. Its id goes along, so that a receiver can tell a repetition.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    run = models.ForeignKey(AlertRun, models.PROTECT, related_name="deliveries", verbose_name=_("sweep"))
    recipient = models.ForeignKey(Recipient, models.PROTECT, related_name="deliveries", verbose_name=_("recipient"))
    content = models.JSONField(_("content"))
    certificates = models.PositiveIntegerField(_("alerts in it"))
    created_at = models.DateTimeField(_("written"))
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    tried_at = models.DateTimeField(_("last attempt"), null=True)
    problem = models.CharField(_("problem"), max_length=300, blank=True)
    delivered_at = models.DateTimeField(_("delivered"), null=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert digest")
        verbose_name_plural = _("alert digests")
        constraints = [
            models.UniqueConstraint(fields=["run", "recipient"], name="alert_delivery_one_digest_a_run"),
        ]
        indexes = [
            models.Index(fields=["created_at"], condition=Q(delivered_at=None), name="alert_delivery_waiting"),
        ]

    def __str__(self) -> str:
        return f"{self.recipient} {self.created_at:%Y-%m-%d %H:%M}"


class MuteQuerySet(ScopedQuerySet["Mute"]):
    def _belonging_to(self, ids: Sequence[int]) -> Q:
        return Q(fleet_id__in=ids) | Q(certificate__device__fleet_id__in=ids)

    def active(self, now: datetime) -> "MuteQuerySet":
        return self.filter(until__gt=now)

    def about_subject_of(self, alert: Alert) -> "MuteQuerySet":
        """Mutes of what an alert is about, and not of its whole fleet."""
        own = Q(about=alert.about) if alert.about else Q()
        return self.filter(own | Q(certificate=alert.certificate_id) if alert.certificate_id else own)

    def of_fleet_of(self, alert: Alert) -> "MuteQuerySet":
        """Mutes of the fleet of the device that an alert is about."""
        device = alert.certificate.device if alert.certificate else None
        return self.filter(fleet=device.fleet_id) if device else self.none()


class Mute(models.Model):
    """Silence for a while about one certificate, one thing of the portal's own or a whole fleet. It always ends."""

    certificate = models.ForeignKey(
        "inventory.Certificate",
        models.PROTECT,
        related_name="mutes",
        null=True,
        blank=True,
        verbose_name=_("certificate"),
    )
    fleet = models.ForeignKey(
        "inventory.Fleet", models.PROTECT, related_name="+", null=True, blank=True, verbose_name=_("fleet")
    )
    about = models.CharField(_("thing of the portal's own"), max_length=600, blank=True)
    until = models.DateTimeField(_("until"))
    reason = models.CharField(_("reason"), max_length=500)
    created_at = models.DateTimeField(_("muted"), editable=False)
    created_by = models.CharField(_("muted by"), max_length=150, editable=False)

    objects = MuteQuerySet.as_manager()

    class Meta:
        verbose_name = _("mute")
        verbose_name_plural = _("mutes")
        ordering = ["-until", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(certificate__isnull=False, fleet__isnull=True, about="")
                | Q(certificate__isnull=True, fleet__isnull=False, about="")
                | Q(certificate__isnull=True, fleet__isnull=True) & ~Q(about=""),
                name="mute_of_one_thing",
            ),
            models.CheckConstraint(
                condition=~Q(reason="") & Q(until__gt=F("created_at")), name="mute_ends_and_has_a_reason"
            ),
        ]

    def __str__(self) -> str:
        return str(self.fleet or self.certificate or self.about)
