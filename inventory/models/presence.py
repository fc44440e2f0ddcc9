"""When each device was last seen, in a table of its own: a sighting rewrites a short row, and no index of devices."""

from datetime import UTC, datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Func
from django.utils.translation import gettext_lazy as _

# The order of devices by last seen, for `inventory.lists`: slots have the index, moments decide within one.
BY_LAST_SEEN = "presence__last_seen_slot,presence__last_seen_at"
_SLOT = timedelta(minutes=5)
# A wake is a sighting after so long a silence; so many of them are kept of each device.
WAKE_AFTER = timedelta(hours=1)
MOST_WAKES = 8


def slot_of(moment: datetime) -> datetime:
    """Return when the five minutes of UTC began in which a moment lies, as `DevicePresence.last_seen_slot` has it."""
    utc = moment.astimezone(UTC)
    return utc - (utc - utc.replace(hour=0, minute=0, second=0, microsecond=0)) % _SLOT


class DevicePresence(models.Model):
    """The presence of a device. Triggers make the row with the device and delete it with it (migration 0001)."""

    # No foreign key of the database: for each new device it would look for what the trigger was called by.
    device = models.OneToOneField(
        "inventory.Device", models.DO_NOTHING, primary_key=True, related_name="presence", db_constraint=False
    )
    last_seen_at = models.DateTimeField(_("last seen"), null=True, editable=False)
    # The five minutes in which it lies, indexed in its place: while they last, a sighting rewrites no index of this
    # table either. A list sorts the devices of one slot, so it must hold few.
    last_seen_slot = models.GeneratedField(
        expression=Func(F("last_seen_at"), template="date_bin('5 minutes', %(expressions)s, '2000-01-01 00:00:00+00')"),
        output_field=models.DateTimeField(null=True),
        db_persist=True,
    )
    # Its last wakes, the newest first, as minutes since 1970: `sightings.wakes` tells the next one from them. Null: no
    # wake was seen. In no index, or every wake would write to it.
    wakes = ArrayField(models.IntegerField(), null=True, editable=False)

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(
                F("last_seen_slot").asc(nulls_first=True), F("device").asc(), name="devicepresence_last_seen_slot"
            )
        ]

    def __str__(self) -> str:
        return f"device {self.device_id}, last seen {self.last_seen_at or 'never'}"
