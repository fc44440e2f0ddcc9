"""Campaigns: a chosen set of devices, brought to their next certificate before the old one ends."""

from datetime import datetime, time, timedelta

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.models.access import ScopedQuerySet
from renewal.models.channel import Channel


class CampaignState(models.TextChoices):
    PLANNED = "planned", _("planned")
    RUNNING = "running", _("running")
    PAUSED = "paused", _("paused")
    # Nothing was left to do, or somebody had enough of it.
    FINISHED = "finished", _("finished")
    STOPPED = "stopped", _("stopped")


UNFINISHED_STATES = (CampaignState.PLANNED, CampaignState.RUNNING, CampaignState.PAUSED)


class TargetState(models.TextChoices):
    """How far one device has come. The words are those of the funnel on the dashboard."""

    PLANNED = "planned", _("planned")
    TRIGGERED = "triggered", _("triggered")
    # The device said that it got the message.
    ACKNOWLEDGED = "acknowledged", _("acknowledged")
    ISSUED = "issued", _("issued")
    CONFIRMED = "confirmed", _("confirmed")
    # No message is left: a person has to act.
    ESCALATED = "escalated", _("escalated")
    # Its certificate ended first: the device can renew by itself no more.
    FAILED = "failed", _("failed")
    WITHDRAWN = "withdrawn", _("withdrawn")


class TargetReason(models.TextChoices):
    """Why a target stands where it is; nothing where the state says it all."""

    NO_ANSWER = "no_answer", _("no answer over any channel")
    NO_CHANNEL = "no_channel", _("no channel reaches the device")
    UNUSED = "unused", _("the new certificate was never used")
    EXPIRED = "expired", _("its certificate ended before it was renewed")
    REVOKED = "revoked", _("its certificate was revoked")
    ISSUER_REVOKED = "issuer_revoked", _("the authority of its certificate was revoked")
    OUT_OF_SERVICE = "out_of_service", _("the device is out of service")
    NEVER_LEFT = "never_left", _("the message never left")


# Those that messages are sent to.
ASKED_STATES = (TargetState.PLANNED, TargetState.TRIGGERED, TargetState.ACKNOWLEDGED, TargetState.ISSUED)
# Those that are left to a person.
GIVEN_UP_STATES = (TargetState.ESCALATED, TargetState.FAILED)
OPEN_STATES = (*ASKED_STATES, *GIVEN_UP_STATES)


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
    # A list of the admin and its query, or how many serial numbers were given; empty: all of the span.
    chosen_from = models.CharField(_("chosen from"), max_length=2200, blank=True, default="")
    site = models.ForeignKey("inventory.Site", models.PROTECT, related_name="+", null=True, verbose_name=_("site"))
    batch = models.ForeignKey("inventory.Batch", models.PROTECT, related_name="+", null=True, verbose_name=_("batch"))
    due_at = models.DateTimeField(_("due"), null=True, help_text=_("When every target should be confirmed."))
    # An evergreen campaign: who joins, and when that was looked at last. It has no end of its own.
    joins_within = models.DurationField(_("devices join before the end by"), null=True, blank=True)
    joined_at = models.DateTimeField(null=True, editable=False)
    # Frozen with the targets, as `campaigns.ladder` reads it.
    ladder = models.JSONField(_("ladder"), editable=False)
    triggers_per_minute = models.PositiveIntegerField(_("messages a minute"), default=5000)
    triggers_per_minute_and_site = models.PositiveIntegerField(
        _("messages a minute and site"), null=True, blank=True, help_text=_("Empty: no limit of their own.")
    )
    # On the clocks of each device's site.
    window_from = models.TimeField(_("messages leave from"), null=True, blank=True)
    window_to = models.TimeField(_("to"), null=True, blank=True)
    sms_budget = models.PositiveIntegerField(_("SMS at most"), null=True, blank=True)
    # Those that left, or may have: as many as there are attempts over SMS.
    sms_used = models.PositiveIntegerField(_("SMS so far"), default=0, editable=False)
    # How it was cut into waves: so many devices ahead of all others, and so many in each wave after them.
    canary = models.PositiveIntegerField(_("devices ahead of all"), default=0)
    wave_size = models.PositiveIntegerField(_("devices a wave"), null=True, blank=True)
    # Shares of those that answered.
    failures_to_open = models.FloatField(_("failures below which the next wave opens"), default=0.02)
    failures_to_pause = models.FloatField(_("failures above which it pauses"), default=0.1)
    # When the answers were last looked at (`campaigns.waves`), and why it paused itself, a sentence for each wave.
    answers_read_at = models.DateTimeField(null=True, editable=False)
    paused_because = models.JSONField(_("paused because"), default=list, editable=False)
    created_at = models.DateTimeField(_("created"), editable=False)
    created_by = models.CharField(_("created by"), max_length=150, editable=False)
    started_at = models.DateTimeField(_("started"), null=True, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True, editable=False)
    ticked_at = models.DateTimeField(_("last tick"), null=True, editable=False)
    # How many messages of its pace the last tick left to the next ones.
    allowance = models.FloatField(default=0, editable=False)
    paused_at = models.DateTimeField(_("paused"), null=True, editable=False)
    # How long it stood still so far, the pause that is going on aside.
    paused_for = models.DurationField(default=timedelta(0), editable=False)
    # How far the log was read of what devices do (`campaigns.news`), and when every target was last looked at.
    news_read_to = models.BigIntegerField(null=True, editable=False)
    news_drawn_to = models.BigIntegerField(null=True, editable=False)
    news_drawn_at = models.DateTimeField(null=True, editable=False)
    swept_at = models.DateTimeField(null=True, editable=False)

    objects = CampaignQuerySet.as_manager()

    class Meta:
        verbose_name = _("campaign")
        verbose_name_plural = _("campaigns")
        permissions = [("approve_campaign", "Can approve the start of a large campaign of others")]
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=CampaignState.values), name="campaign_state_known"),
            models.CheckConstraint(condition=Q(expires_before__gt=F("expires_from")), name="campaign_selects_a_span"),
            models.CheckConstraint(
                condition=Q(triggers_per_minute__gte=1)
                & (Q(triggers_per_minute_and_site__isnull=True) | Q(triggers_per_minute_and_site__gte=1)),
                name="campaign_pace_positive",
            ),
            models.CheckConstraint(
                condition=Q(window_from__isnull=True, window_to__isnull=True)
                | Q(window_from__isnull=False, window_to__isnull=False) & ~Q(window_from=F("window_to")),
                name="campaign_window_is_whole",
            ),
            models.CheckConstraint(
                condition=Q(failures_to_open__gt=0, failures_to_open__lt=1)
                & Q(failures_to_pause__gt=0, failures_to_pause__lt=1),
                name="campaign_failures_are_shares",
            ),
            models.CheckConstraint(
                condition=Q(due_at__isnull=False) ^ Q(joins_within__isnull=False), name="campaign_due_or_evergreen"
            ),
            models.CheckConstraint(
                condition=Q(wave_size__isnull=True) | Q(wave_size__gte=1), name="campaign_wave_size_positive"
            ),
            models.CheckConstraint(
                condition=Q(state=CampaignState.PAUSED, paused_at__isnull=False)
                | ~Q(state=CampaignState.PAUSED) & Q(paused_at__isnull=True),
                name="campaign_paused_has_time",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def window(self) -> tuple[time, time] | None:
        """The hours in which it sends, None for all."""
        return None if self.window_from is None or self.window_to is None else (self.window_from, self.window_to)

    @property
    def sms_left(self) -> int | None:
        """How many more SMS may leave, None for any number."""
        return None if self.sms_budget is None else max(self.sms_budget - self.sms_used, 0)

    def clock(self, moment: datetime) -> datetime:
        """Return what the campaign's own clock shows, which stands still in pauses: waits are told by it."""
        return (min(moment, self.paused_at) if self.paused_at else moment) - self.paused_for

    def moment(self, clock: datetime) -> datetime | None:
        """Return when the campaign's clock will show `clock`, None while it is paused and nobody knows."""
        return None if self.paused_at and clock > self.clock(self.paused_at) else clock + self.paused_for


# Devices that answered and did not come through: refused, or silent since they have their new certificate.
ANSWERED_IN_VAIN = ~Q(refusal="") & ~Q(state=TargetState.WITHDRAWN) | (
    Q(state=TargetState.ESCALATED, reason=TargetReason.UNUSED)
    | Q(state=TargetState.ISSUED) & (Q(rung__gt=0) | Q(rung_attempts__gt=0))
)


class TargetQuerySet(ScopedQuerySet["Target"]):
    fleet_path = "campaign__fleet_id"

    def open(self) -> "TargetQuerySet":
        return self.filter(state__in=OPEN_STATES)


class Target(models.Model):
    """One device in one campaign. Hot state stands here, away from device and certificate.

    That what it refers to is there is asked by whoever deletes it, not when millions are planned:
    docs/decisions/references.md. `verify_invariants` compares campaign, device and certificates.
    """

    campaign = models.ForeignKey(
        Campaign,
        models.CASCADE,
        related_name="targets",
        verbose_name=_("campaign"),
        db_constraint=False,
        db_index=False,  # target_by_campaign begins with it
    )
    device = models.ForeignKey(
        "inventory.Device",
        models.PROTECT,
        related_name="campaign_targets",
        verbose_name=_("device"),
        db_constraint=False,
        db_index=False,  # target_certificate_once_in_campaign begins with it
    )
    # The certificate to be replaced. Nobody looks for targets by certificates, which are never deleted.
    certificate = models.ForeignKey(
        "inventory.Certificate",
        models.PROTECT,
        related_name="campaign_targets",
        verbose_name=_("certificate"),
        db_constraint=False,
        db_index=False,
    )
    renewed_certificate = models.ForeignKey(
        "inventory.Certificate",
        models.PROTECT,
        related_name="+",
        null=True,
        verbose_name=_("new certificate"),
        db_constraint=False,
        db_index=False,
    )
    state = models.CharField(_("state"), max_length=16, choices=TargetState.choices, default=TargetState.PLANNED)
    reason = models.CharField(_("reason"), max_length=16, choices=TargetReason.choices, blank=True, default="")
    # 0 in a campaign that is not cut. Until its wave opens, a target has no next step.
    wave = models.PositiveSmallIntegerField(_("wave"), default=0)
    # Why its last request was refused (`RefusalCode`); empty when none was, or once it has its new certificate.
    refusal = models.CharField(_("refused because"), max_length=32, blank=True, default="")
    # The end of the certificate to be replaced, which never changes: what is due, and what is late, is found by it.
    ends_at = models.DateTimeField(_("certificate ends"))
    attempts_made = models.PositiveSmallIntegerField(_("attempts"), default=0)
    # Where on the ladder of its connectivity class it stands, from 0, and the attempts made there.
    rung = models.PositiveSmallIntegerField(_("rung"), default=0)
    rung_attempts = models.PositiveSmallIntegerField(_("attempts on the rung"), default=0)
    # The channel of the next step, as far as was known when it was fixed; empty for a step that sends nothing.
    channel = models.CharField(_("next channel"), max_length=8, choices=Channel.choices, blank=True, default="")
    # That of the last message which left, empty when none did.
    asked_over = models.CharField(
        _("asked over"), max_length=8, choices=Channel.choices, blank=True, default="", editable=False
    )
    # Over every channel that reaches the device, a message was waited for in vain.
    unanswered = models.BooleanField(_("answered over no channel"), default=False)
    # By the campaign's clock (`Campaign.clock`).
    next_step_at = models.DateTimeField(_("next step"), null=True)
    # The wake for which the next message waits (`campaigns.aiming`), null when it waits for none.
    wake_expected_at = models.DateTimeField(_("waits for the wake at"), null=True, editable=False)
    triggered_at = models.DateTimeField(_("first triggered"), null=True)
    acknowledged_at = models.DateTimeField(_("acknowledged"), null=True)
    issued_at = models.DateTimeField(_("issued"), null=True)
    confirmed_at = models.DateTimeField(_("confirmed"), null=True)
    escalated_at = models.DateTimeField(_("escalated"), null=True)

    objects = TargetQuerySet.as_manager()

    class Meta:
        verbose_name = _("target")
        verbose_name_plural = _("targets")
        constraints = [
            # An evergreen campaign has a device again with its next certificate.
            models.UniqueConstraint(
                fields=["device", "campaign", "certificate"], name="target_certificate_once_in_campaign"
            ),
            models.CheckConstraint(condition=Q(state__in=TargetState.values), name="target_state_known"),
            models.CheckConstraint(
                condition=Q(next_step_at__isnull=True) | Q(state__in=ASKED_STATES),
                name="target_with_a_next_step_is_asked",
            ),
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
                fields=["campaign", "channel", "next_step_at"],
                condition=Q(next_step_at__isnull=False),
                name="target_due",
            ),
            models.Index(fields=["campaign", "ends_at"], condition=Q(state__in=OPEN_STATES), name="target_open_by_end"),
            models.Index(fields=["campaign", "state", "id"], name="target_by_state"),
            models.Index(fields=["campaign", "wave", "state"], condition=Q(wave__gt=0), name="target_by_wave"),
            models.Index(fields=["campaign", "wave"], condition=ANSWERED_IN_VAIN, name="target_in_vain"),
            models.Index(fields=["campaign", "id"], name="target_by_campaign"),
            models.Index(fields=["state", "id"], name="target_by_state_alone"),
        ]

    def __str__(self) -> str:
        return f"{self.device} ({self.get_state_display()})"

    @property
    def next_step_by_wall_clock(self) -> datetime | None:
        """When the next step is due, None when none is or the campaign is paused. Its `campaign` should be loaded."""
        return None if self.next_step_at is None else self.campaign.moment(self.next_step_at)


class TargetMove(models.Model):
    """A target came into a state, and why. The first, `planned`, is the campaign's own beginning and has no row."""

    target = models.ForeignKey(
        Target,
        models.CASCADE,
        related_name="moves",
        verbose_name=_("target"),
        db_constraint=False,
        db_index=False,  # target_moves begins with it
    )
    at = models.DateTimeField(_("time"))
    state = models.CharField(_("state"), max_length=16, choices=TargetState.choices)
    reason = models.CharField(_("reason"), max_length=16, choices=TargetReason.choices, blank=True)

    class Meta:
        verbose_name = _("move of a target")
        verbose_name_plural = _("moves of targets")
        default_permissions = ()
        indexes = [models.Index(fields=["target", "id"], name="target_moves")]

    def __str__(self) -> str:
        return f"{self.target_id}: {self.get_state_display()}"


class Attempt(models.Model):
    """One message to one device over one channel. Written before it is sent, so that none is lost or doubled.

    One that certainly never left is taken back.
    """

    target = models.ForeignKey(
        Target,
        models.CASCADE,
        related_name="attempts",
        verbose_name=_("target"),
        db_constraint=False,
        db_index=False,  # attempt_number_unique_in_target begins with it
    )
    number = models.PositiveSmallIntegerField(_("number"))
    # Where on the ladder it was made, and as which of that rung's attempts, from 1: what never left is put back there.
    rung = models.PositiveSmallIntegerField(_("rung"), default=0)
    rung_attempt = models.PositiveSmallIntegerField(_("attempt on the rung"), default=1)
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
    # The wake that it had waited for, null when it left at once.
    wake_expected_at = models.DateTimeField(_("sent for the wake at"), null=True, editable=False)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        constraints = [
            models.UniqueConstraint(fields=["target", "number"], name="attempt_number_unique_in_target"),
        ]
        indexes = [models.Index(fields=["reference"], condition=~Q(reference=""), name="attempt_by_reference")]

    def __str__(self) -> str:
        return f"{self.target} #{self.number}"
