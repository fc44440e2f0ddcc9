"""What people found out about a device on the spot, which no message of it tells."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from inventory.models.access import ScopedQuerySet


class DeviceNoteQuerySet(ScopedQuerySet["DeviceNote"]):
    fleet_path = "device__fleet_id"

    def in_dead_zones(self) -> "DeviceNoteQuerySet":
        """Devices that no message reaches where they stand: whoever plans a campaign counts on a visit."""
        return self.filter(dead_zone_since__isnull=False)


class DeviceNote(models.Model):
    """The note on one device. Only devices of which something is known have a row: millions need none."""

    device = models.OneToOneField(
        "inventory.Device", models.PROTECT, primary_key=True, related_name="note", verbose_name=_("device")
    )
    model = models.CharField(_("model"), max_length=100, blank=True)
    battery = models.CharField(
        _("battery"), max_length=200, blank=True, help_text=_("For example: ER34615, changed 2026-05.")
    )
    sim = models.CharField(_("SIM"), max_length=200, blank=True, help_text=_("For example: the operator, the ICCID."))
    dead_zone_since = models.DateTimeField(_("no coverage since"), null=True, blank=True)
    replaced_by = models.CharField(_("replaced by"), max_length=64, blank=True, help_text=_("Serial number."))

    objects = DeviceNoteQuerySet.as_manager()

    class Meta:
        verbose_name = _("note on a device")
        verbose_name_plural = _("notes on devices")
        indexes = [
            models.Index(fields=["device"], condition=Q(dead_zone_since__isnull=False), name="devicenote_dead_zone")
        ]

    def __str__(self) -> str:
        return str(self.device)
