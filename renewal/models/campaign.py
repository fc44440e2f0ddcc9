"""Campaigns: a chosen set of devices, brought to their next certificate before the old one ends."""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.models.access import ScopedQuerySet
from renewal.models.channel import Channel


class CampaignState(models.TextChoices):
    PLANNED = "planned", _("planned")
    RUNNING = "running", _("running")
    PAUSED = "paused", _("paused")
    FINISHED = "finished", _("finished")


UNFINISHED_STATES = (CampaignState.PLANNED, CampaignState.RUNNING, CampaignState.PAUSED)


class TargetState(models.TextChoices):
    """How far one device has come. The words are those of the funnel on the dashboard."""

    PLANNED = "planned", _("planned")
    TRIGGERED = "triggered", _("triggered")
    ISSUED = "issued", _("issued")
    CONFIRMED = "confirmed", _("confirmed")
    ESCALATED = "escalated", _("escalated")
    WITHDRAWN = "withdrawn", _("withdrawn")


OPEN_STATES = (TargetState.PLANNED, TargetState.TRIGGERED, TargetState.ISSUED, TargetState.ESCALATED)


class AttemptOutcome(models.TextChoices):
    CLAIMED = "claimed", _("being sent")
    SENT = "sent", _("accepted")
    IN_DOUBT = "in_doubt", _("in doubt")
    DELIVERED = "delivered", _("delivered")
    UNDELIVERED = "undelivered", _("undelivered")
    REFUSED = "refused", _("refused by the gateway")


class CampaignQuerySet(ScopedQuerySet["Campaign"]):
    pass


class Campaign(models.Model):
    name = models.CharField(_("name"), max_length=100)
    fleet = models.ForeignKey("inventory.Fleet", models.PROTECT, related_name="campaigns", verbose_name=_("fleet"))
    state = models.CharField(
        _("state"), max_length=16, choices=CampaignState.choices, default=CampaignState.PLANNED, editable=False
    )
    # What was chosen, kept for the record; the targets were frozen from it when the campaign was planned.
    expires_from = models.DateTimeField(_("expires from"))
    expires_before = models.DateTimeField(_("expires before"))
    due_at = models.DateTimeField(_("due"), help_text=_("When every target should be confirmed."))
    retry_interval = models.DurationField(
        _("retry interval"), default=timedelta(hours=72), help_text=_("Doubles with each attempt without an answer.")
    )
    max_attempts = models.PositiveSmallIntegerField(_("most attempts"), default=5)
    triggers_per_tick = models.PositiveIntegerField(_("triggers a tick"), default=1000)
    created_at = models.DateTimeField(_("created"), editable=False)
    created_by = models.CharField(_("created by"), max_length=150, editable=False)
    started_at = models.DateTimeField(_("started"), null=True, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True, editable=False)
    ticked_at = models.DateTimeField(_("last tick"), null=True, editable=False)
    # How far the log was read of what devices do (`campaigns.news`), and when every target was last looked at.
    news_read_to = models.BigIntegerField(null=True, editable=False)
    news_drawn_to = models.BigIntegerField(null=True, editable=False)
    news_drawn_at = models.DateTimeField(null=True, editable=False)
    swept_at = models.DateTimeField(null=True, editable=False)

    objects = CampaignQuerySet.as_manager()

    class Meta:
        verbose_name = _("campaign")
        verbose_name_plural = _("campaigns")
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=CampaignState.values), name="campaign_state_known"),
            models.CheckConstraint(condition=Q(expires_before__gt=F("expires_from")), name="campaign_selects_a_span"),
            models.CheckConstraint(condition=Q(retry_interval__gt=timedelta(0)), name="campaign_retry_positive"),
            models.CheckConstraint(condition=Q(max_attempts__gte=1), name="campaign_attempts_positive"),
        ]

    def __str__(self) -> str:
        return self.name


class TargetQuerySet(ScopedQuerySet["Target"]):
    fleet_path = "campaign__fleet_id"

    def open(self) -> "TargetQuerySet":
        return self.filter(state__in=OPEN_STATES)

    def due(self, now: datetime) -> "TargetQuerySet":
        return self.open().filter(next_step_at__lte=now)

    def counts(self) -> dict[int, dict[str, int]]:
        """Return how many targets each campaign has in each state: by the campaign's id, then by every TargetState."""
        counts: dict[int, dict[str, int]] = {}
        # Ordered by nothing: an ordering would become part of the grouping.
        for campaign_id, state, number in (
            self.order_by().values_list("campaign_id", "state").annotate(number=models.Count("id"))
        ):
            counts.setdefault(campaign_id, dict.fromkeys(TargetState.values, 0))[state] = number
        return counts


class Target(models.Model):
    """One device in one campaign. Hot state stands here, away from device and certificate."""

    campaign = models.ForeignKey(
        Campaign,
        models.CASCADE,
        related_name="targets",
        verbose_name=_("campaign"),
        db_index=False,  # target_by_campaign begins with it
    )
    device = models.ForeignKey(
        "inventory.Device", models.PROTECT, related_name="campaign_targets", verbose_name=_("device")
    )
    # The certificate to be replaced.
    certificate = models.ForeignKey(
        "inventory.Certificate", models.PROTECT, related_name="campaign_targets", verbose_name=_("certificate")
    )
    renewed_certificate = models.ForeignKey(
        "inventory.Certificate", models.PROTECT, related_name="+", null=True, verbose_name=_("new certificate")
    )
    state = models.CharField(_("state"), max_length=16, choices=TargetState.choices, default=TargetState.PLANNED)
    attempts_made = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_step_at = models.DateTimeField(_("next step"), null=True)
    triggered_at = models.DateTimeField(_("first triggered"), null=True)
    issued_at = models.DateTimeField(_("issued"), null=True)
    confirmed_at = models.DateTimeField(_("confirmed"), null=True)
    escalated_at = models.DateTimeField(_("escalated"), null=True)

    objects = TargetQuerySet.as_manager()

    class Meta:
        verbose_name = _("target")
        verbose_name_plural = _("targets")
        constraints = [
            models.UniqueConstraint(fields=["campaign", "device"], name="target_device_once_in_campaign"),
            models.CheckConstraint(condition=Q(state__in=TargetState.values), name="target_state_known"),
            models.CheckConstraint(
                condition=~Q(state__in=[TargetState.ISSUED, TargetState.CONFIRMED])
                | Q(renewed_certificate__isnull=False, issued_at__isnull=False),
                name="target_issued_names_certificate",
            ),
            models.CheckConstraint(
                condition=Q(state=TargetState.CONFIRMED, confirmed_at__isnull=False)
                | (~Q(state=TargetState.CONFIRMED) & Q(confirmed_at__isnull=True)),
                name="target_confirmed_has_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["campaign", "next_step_at"],
                condition=Q(state__in=OPEN_STATES) & Q(next_step_at__isnull=False),
                name="target_due",
            ),
            models.Index(fields=["campaign", "state", "id"], name="target_by_state"),
            models.Index(fields=["campaign", "id"], name="target_by_campaign"),
            models.Index(fields=["state", "id"], name="target_by_state_alone"),
        ]

    def __str__(self) -> str:
        return f"{self.device} ({self.get_state_display()})"


class Attempt(models.Model):
    """One message to one device over one channel. Written before it is sent, so that none is lost or doubled.

    One that certainly never left is taken back.
    """

    target = models.ForeignKey(Target, models.CASCADE, related_name="attempts", verbose_name=_("target"))
    number = models.PositiveSmallIntegerField(_("number"))
    channel = models.CharField(_("channel"), max_length=8, choices=Channel.choices)
    at = models.DateTimeField(_("time"))
    outcome = models.CharField(
        _("outcome"), max_length=16, choices=AttemptOutcome.choices, default=AttemptOutcome.CLAIMED
    )
    detail = models.CharField(_("detail"), max_length=200, blank=True)
    # The key of the gateway and its own id of the message, with a colon between: receipts name the message by it.
    reference = models.CharField(_("reference"), max_length=140, blank=True, default="", db_default="")
    # When the receipt was made, or the device's acknowledgement came, that `outcome` tells.
    receipt_at = models.DateTimeField(_("receipt"), null=True)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        constraints = [
            models.UniqueConstraint(fields=["target", "number"], name="attempt_number_unique_in_target"),
        ]
        indexes = [models.Index(fields=["reference"], condition=~Q(reference=""), name="attempt_by_reference")]

    def __str__(self) -> str:
        return f"{self.target} #{self.number}"
