"""Unexpected sightings: of what is unknown, revoked or out of service."""

from datetime import datetime

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.models.access import ScopedQuerySet


class Oddity(models.TextChoices):
    """What is wrong with a sighting."""

    UNKNOWN = "unknown", _("unknown")
    REVOKED = "revoked", _("revoked")
    OUT_OF_SERVICE = "out_of_service", _("device out of service")
    SHARED_KEY = "shared_key", _("one key on two devices")
    COMPROMISED_KEY = "compromised_key", _("compromised key")


class UnexpectedSightingQuerySet(ScopedQuerySet["UnexpectedSighting"]):
    # What nobody knows is of no fleet.
    fleet_path = "device__fleet_id"

    def seen_since(self, moment: datetime) -> "UnexpectedSightingQuerySet":
        return self.filter(last_seen_at__gte=moment)


class UnexpectedSighting(models.Model):
    """A certificate or device that a verifier unexpectedly saw: one row for each verifier.

    `name` is `sha256:…` for a certificate that the inventory knows, `key:…` for a key on a device, else what the report
    said. Reports come at least once, so `count` may be too high, never too low.
    """

    oddity = models.CharField(_("what is wrong"), max_length=16, choices=Oddity.choices)
    name = models.CharField(_("what was seen"), max_length=600)
    source = models.CharField(_("reported by"), max_length=150)
    device = models.ForeignKey(
        "inventory.Device", models.PROTECT, related_name="unexpected_sightings", null=True, verbose_name=_("device")
    )
    certificate = models.ForeignKey(
        "inventory.Certificate",
        models.PROTECT,
        related_name="unexpected_sightings",
        null=True,
        verbose_name=_("certificate"),
    )
    first_seen_at = models.DateTimeField(_("first seen"))
    last_seen_at = models.DateTimeField(_("last seen"))
    count = models.PositiveBigIntegerField(_("times seen"))

    objects = UnexpectedSightingQuerySet.as_manager()

    class Meta:
        verbose_name = _("unexpected sighting")
        verbose_name_plural = _("unexpected sightings")
        constraints = [
            models.UniqueConstraint(fields=["source", "oddity", "name"], name="unexpectedsighting_once_a_source"),
            models.CheckConstraint(condition=Q(oddity__in=Oddity.values), name="unexpectedsighting_oddity_known"),
            models.CheckConstraint(
                condition=Q(last_seen_at__gte=F("first_seen_at"), count__gte=1), name="unexpectedsighting_was_seen"
            ),
        ]
        indexes = [models.Index(fields=["-last_seen_at", "-id"], name="unexpectedsighting_latest")]

    def __str__(self) -> str:
        return f"{self.name} ({self.get_oddity_display()})"
