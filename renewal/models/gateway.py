"""Gateways: who carries messages to devices, by which driver, within which limits; and receipts that came early."""

from collections.abc import Sequence
from datetime import time
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.models.access import PortalQuerySet, ScopedQuerySet
from renewal.models.channel import Channel

DEFAULT_TEXT = "certportal: {device} must renew its certificate before {renew_before}."


class Driver(models.TextChoices):
    """How a gateway is talked to."""

    MQTT = "mqtt", _("the MQTT broker of this portal")
    SMS_HTTP = "sms_http", _("SMS: HTTP gateway")
    SMPP = "smpp", _("SMS: SMPP 3.4")
    TWILIO = "twilio", _("SMS: Twilio")
    CONSOLE = "console", _("SMS: console, for demonstrations")
    WEBHOOK = "webhook", _("signed webhook (Standard Webhooks)")

    @property
    def channel(self) -> Channel:
        match self:
            case Driver.MQTT:
                return Channel.MQTT
            case Driver.WEBHOOK:
                return Channel.WEBHOOK
            case _:
                return Channel.SMS


class GatewayQuerySet(ScopedQuerySet["Gateway"]):
    def _belonging_to(self, ids: Sequence[int]) -> Q:
        """Those of the fleets, and those that serve every fleet."""
        return Q(fleet_id__in=ids) | Q(fleet_id=None)

    def serving(self, channel: Channel, fleet_id: int | None) -> "Gateway | None":
        """Return the gateway that serves `channel` for a fleet: its own, else that of all fleets. One query."""
        open_to = Q(fleet_id=None) | Q(fleet_id=fleet_id) if fleet_id is not None else Q(fleet_id=None)
        return self.filter(open_to, channel=channel, enabled=True).order_by(F("fleet_id").asc(nulls_last=True)).first()

    def prices(self, fleet_id: int) -> dict[Channel, Decimal]:
        """Return what a message to a device of a fleet costs, by the channels that a gateway serves. One query."""
        serving = self.filter(Q(fleet_id=None) | Q(fleet_id=fleet_id), enabled=True)
        # That of the fleet comes last, and stays.
        costs = serving.order_by(F("fleet_id").asc(nulls_first=True)).values_list("channel", "cost")
        return {Channel(channel): cost for channel, cost in costs}


class Gateway(models.Model):
    """One way over a channel. Of several that are enabled, the one of the fleet serves it before that of all fleets."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    channel = models.CharField(_("channel"), max_length=8, choices=Channel.choices, editable=False)
    driver = models.CharField(_("driver"), max_length=16, choices=Driver.choices)
    fleet = models.ForeignKey(
        "inventory.Fleet",
        models.PROTECT,
        related_name="gateways",
        null=True,
        blank=True,
        verbose_name=_("fleet"),
        help_text=_("Empty: it serves all fleets that have none of their own."),
    )
    enabled = models.BooleanField(_("enabled"), default=False)
    # What the driver's own form validates.
    settings = models.JSONField(_("settings"), default=dict, blank=True, editable=False)
    # Encrypted with a key that follows from the portal's own (`channels.sealing`).
    sealed_secret = models.BinaryField(null=True, editable=False)
    sender = models.CharField(
        _("sender"), max_length=20, blank=True, help_text=_("What a device sees as the origin of an SMS.")
    )
    text = models.CharField(
        _("text of an SMS"),
        max_length=480,
        default=DEFAULT_TEXT,
        help_text=_("Placeholders: {device} {fleet} {campaign} {renew_before} {est_url}. It holds no secret."),
    )
    daily_cap = models.PositiveIntegerField(
        _("most messages a day"), null=True, blank=True, help_text=_("Empty: no limit. Days are those of UTC.")
    )
    quiet_from = models.TimeField(
        _("quiet from"), null=True, blank=True, help_text=_("In the time of a device's site. Nothing is sent then.")
    )
    quiet_to = models.TimeField(_("quiet to"), null=True, blank=True)
    cost = models.DecimalField(
        _("cost of a message"),
        max_digits=9,
        decimal_places=4,
        default=Decimal(0),
        validators=[MinValueValidator(Decimal(0))],
    )

    objects = GatewayQuerySet.as_manager()

    class Meta:
        verbose_name = _("gateway")
        verbose_name_plural = _("gateways")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "fleet"],
                condition=Q(enabled=True),
                nulls_distinct=False,
                name="gateway_one_enabled_for_channel_and_fleet",
            ),
            models.CheckConstraint(condition=Q(driver__in=Driver.values), name="gateway_driver_known"),
            models.CheckConstraint(condition=Q(channel__in=Channel.values), name="gateway_channel_known"),
            models.CheckConstraint(
                condition=Q(quiet_from=None, quiet_to=None)
                | Q(quiet_from__isnull=False, quiet_to__isnull=False) & ~Q(quiet_from=F("quiet_to")),
                name="gateway_quiet_hours_whole",
                violation_error_message=_("Quiet hours have a beginning and another end, or neither."),
            ),
            models.CheckConstraint(condition=Q(cost__gte=0), name="gateway_cost_not_negative"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> str:
        """Return what its trouble is noted under: the broker is one, whoever limits what goes over it."""
        return Channel.MQTT.value if self.driver == Driver.MQTT else f"gateway-{self.pk}"

    def reference_of(self, own: str) -> str:
        """Return a reference as attempts have it: two gateways may give one id to two messages."""
        return f"{self.pk}:{own}"[:140]

    @property
    def quiet_hours(self) -> tuple[time, time] | None:
        return (self.quiet_from, self.quiet_to) if self.quiet_from is not None and self.quiet_to is not None else None

    def clean(self) -> None:
        """Set the channel, which follows from the driver. Raises ValidationError."""
        if self.driver not in Driver.values:
            raise ValidationError({"driver": _("Choose a driver.")})
        self.channel = Driver(self.driver).channel


class GatewayDay(models.Model):
    """How many messages a gateway was given on a day of UTC: what the daily cap is held by."""

    gateway = models.ForeignKey(Gateway, models.CASCADE, related_name="days", verbose_name=_("gateway"))
    day = models.DateField(_("day"))
    sent = models.PositiveIntegerField(_("messages"))

    class Meta:
        verbose_name = _("day of a gateway")
        verbose_name_plural = _("days of gateways")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["gateway", "day"], name="gatewayday_once")]

    def __str__(self) -> str:
        return f"{self.gateway} {self.day}"


class ReceiptResult(models.TextChoices):
    """What a gateway says became of a message."""

    DELIVERED = "delivered", _("delivered")
    UNDELIVERED = "undelivered", _("undelivered")
    EXPIRED = "expired", _("expired")
    UNKNOWN = "unknown", _("unknown")


class EarlyReceiptQuerySet(PortalQuerySet["EarlyReceipt"]):
    pass


class EarlyReceipt(models.Model):
    """A receipt of a message that is not known, or not yet: gateways answer while the batch is still being sent."""

    reference = models.CharField(_("reference"), max_length=140, unique=True)
    result = models.CharField(_("result"), max_length=16, choices=ReceiptResult.choices)
    at = models.DateTimeField(_("time"))
    detail = models.CharField(_("detail"), max_length=200, blank=True)
    received_at = models.DateTimeField(_("received"), db_index=True)

    objects = EarlyReceiptQuerySet.as_manager()

    class Meta:
        verbose_name = _("receipt")
        verbose_name_plural = _("receipts")
        constraints = [
            models.CheckConstraint(condition=Q(result__in=ReceiptResult.values), name="receipt_result_known")
        ]

    def __str__(self) -> str:
        return self.reference
