"""Devices: what carries a certificate, where it is and how it can be reached."""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Exists, F, Func, OuterRef, Q, Value
from django.db.models.functions import Length
from django.db.models.lookups import GreaterThanOrEqual, LessThan
from django.utils.translation import gettext_lazy as _

from inventory.formats import device_fields
from inventory.models.access import ScopedQuerySet
from inventory.models.certificate import Certificate
from inventory.models.presence import slot_of


class Connectivity(models.TextChoices):
    """How soon a message to the device is expected to arrive."""

    ALWAYS_ON = "always_on", _("always on")
    DAILY = "daily", _("daily")
    INTERMITTENT = "intermittent", _("intermittent")


class DeviceStatus(models.TextChoices):
    """Whether the device may hold a certificate at all, whatever its certificates say."""

    IN_SERVICE = "in_service", _("in service")
    SUSPENDED = "suspended", _("suspended")
    RETIRED = "retired", _("retired")


def _row(*parts: F | Value) -> Func:
    return Func(*parts, function="ROW", output_field=models.TextField())


_LAST_SEEN = _row(F("presence__last_seen_slot"), F("presence__last_seen_at"))


def _at(moment: datetime) -> Func:
    return _row(*(Value(each, output_field=models.DateTimeField()) for each in (slot_of(moment), moment)))


class DeviceQuerySet(ScopedQuerySet["Device"]):
    # Slot and moment together, as one row: the slot has the index, and PostgreSQL expects as many rows as it says. By
    # two conditions it would expect a tenth, as if they had nothing to do with each other.

    def seen_since(self, moment: datetime) -> "DeviceQuerySet":
        return self.filter(GreaterThanOrEqual(_LAST_SEEN, _at(moment)), presence__isnull=False)

    def silent_since(self, moment: datetime) -> "DeviceQuerySet":
        """Those that were seen, and last before `moment`."""
        return self.filter(LessThan(_LAST_SEEN, _at(moment)), presence__isnull=False)

    def ever_seen(self) -> "DeviceQuerySet":
        return self.filter(presence__last_seen_slot__isnull=False)

    def never_seen(self) -> "DeviceQuerySet":
        # That there is a presence, as always: else Django would join those that have none, and PostgreSQL read all.
        return self.filter(presence__isnull=False, presence__last_seen_slot__isnull=True)

    def with_certificate(self) -> "DeviceQuerySet":
        """Those that ever had one, of any authority."""
        return self.filter(Exists(Certificate.objects.filter(device=OuterRef("pk"))))

    def without_certificate(self) -> "DeviceQuerySet":
        """Those that never had one."""
        return self.filter(uncertified__isnull=False)


class Device(models.Model):
    # The indexes below begin with fleet, batch and site.
    fleet = models.ForeignKey(
        "inventory.Fleet", models.PROTECT, related_name="devices", verbose_name=_("fleet"), db_index=False
    )
    serial = models.CharField(_("serial number"), max_length=device_fields.LONGEST_SERIAL)
    # Foreign keys of the database together with the fleet: a device takes no other fleet's site or batch.
    batch = models.ForeignKey(
        "inventory.Batch",
        models.PROTECT,
        related_name="devices",
        null=True,
        blank=True,
        verbose_name=_("batch"),
        db_index=False,
        db_constraint=False,
    )
    site = models.ForeignKey(
        "inventory.Site",
        models.PROTECT,
        related_name="devices",
        null=True,
        blank=True,
        verbose_name=_("site"),
        db_index=False,
        db_constraint=False,
    )
    latitude = models.DecimalField(_("latitude"), max_digits=8, decimal_places=6, null=True, blank=True)
    longitude = models.DecimalField(_("longitude"), max_digits=9, decimal_places=6, null=True, blank=True)
    mqtt_id = models.CharField(_("MQTT client id"), max_length=device_fields.LONGEST_MQTT_ID, blank=True)
    phone_number = models.CharField(
        _("phone number"),
        max_length=device_fields.LONGEST_PHONE_NUMBER,
        blank=True,
        help_text=_("E.164, for example +60123456789."),
    )
    connectivity = models.CharField(
        _("connectivity class"), max_length=16, choices=Connectivity.choices, default=Connectivity.DAILY
    )
    status = models.CharField(_("status"), max_length=16, choices=DeviceStatus.choices, default=DeviceStatus.IN_SERVICE)
    registered_at = models.DateTimeField(_("registered"), editable=False)

    objects = DeviceQuerySet.as_manager()

    class Meta:
        verbose_name = _("device")
        verbose_name_plural = _("devices")
        constraints = [
            models.UniqueConstraint(fields=["fleet", "serial"], name="device_serial_unique_in_fleet"),
            models.UniqueConstraint(
                fields=["fleet", "mqtt_id"], condition=~Q(mqtt_id=""), name="device_mqtt_id_unique_in_fleet"
            ),
            models.CheckConstraint(
                condition=Q(serial__regex=device_fields.PLAIN_SERIAL), name="device_serial_is_plain"
            ),
            models.CheckConstraint(
                condition=Q(mqtt_id__regex=device_fields.PLAIN_MQTT_ID), name="device_mqtt_id_is_plain"
            ),
            models.CheckConstraint(
                condition=Q(phone_number="")
                | Q(phone_number__regex=device_fields.PLAIN_PHONE_NUMBER)
                & Q(GreaterThanOrEqual(Length("phone_number"), device_fields.SHORTEST_PHONE_NUMBER)),
                name="device_phone_number_is_e164",
            ),
            models.CheckConstraint(
                condition=Q(latitude__isnull=True, longitude__isnull=True)
                # A comparison with NULL is not false, and so does not violate a constraint.
                | Q(latitude__isnull=False, longitude__isnull=False)
                & Q(latitude__range=(-90, 90), longitude__range=(-180, 180)),
                name="device_coordinates_are_on_earth",
            ),
            models.CheckConstraint(condition=Q(connectivity__in=Connectivity.values), name="device_connectivity_known"),
            models.CheckConstraint(condition=Q(status__in=DeviceStatus.values), name="device_status_known"),
        ]
        indexes = [
            models.Index(fields=["serial", "id"], name="device_serial"),
            models.Index(fields=["mqtt_id"], condition=~Q(mqtt_id=""), name="device_mqtt_id"),
            # One a filter of the lists, in their order: a choice that few devices meet is read as fast as any.
            models.Index(fields=["fleet", "id"], name="device_by_fleet"),
            models.Index(fields=["batch", "id"], name="device_by_batch"),
            models.Index(fields=["site", "id"], name="device_by_site"),
            models.Index(fields=["connectivity", "id"], name="device_by_connectivity"),
            models.Index(
                fields=["status", "id"], condition=~Q(status=DeviceStatus.IN_SERVICE), name="device_out_of_service"
            ),
            models.Index(fields=["phone_number"], condition=~Q(phone_number=""), name="device_phone_number"),
        ]

    def __str__(self) -> str:
        return self.serial

    @property
    def last_seen_at(self) -> datetime | None:
        """When it was last seen, None while it never was. A query, unless its `presence` is selected."""
        return self.presence.last_seen_at

    def clean(self) -> None:
        """Refuse a site or batch of another fleet. Raises ValidationError."""
        wrong = {
            field: _("%(group)s is of another fleet; choose one of the fleet of the device.") % {"group": group.name}
            for field, group in (("site", self.site), ("batch", self.batch))
            if group is not None and self.fleet_id is not None and group.fleet_id != self.fleet_id
        }
        if wrong:
            raise ValidationError(wrong)


class ExpiredDevice(Device):
    """A device whose certificate ended, as a list of its own (`inventory.devices.locked_out`)."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = _("expired device")
        verbose_name_plural = _("expired devices")


class RevokedDevice(Device):
    """A device whose certificate was revoked, as a list of its own (`inventory.devices.locked_out`)."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = _("revoked device")
        verbose_name_plural = _("revoked devices")
