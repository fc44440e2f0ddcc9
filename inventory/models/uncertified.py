"""The devices that never had a certificate: a row each, so that they are found at once among millions that had."""

from django.db import models


class UncertifiedDevice(models.Model):
    """A device that never had a certificate. Triggers make and delete the row (migration 0001).

    No column of the device says so: its first certificate would then rewrite the device in each of its indexes.
    """

    # No foreign key of the database: for each new device it would look for what the trigger was called by.
    device = models.OneToOneField(
        "inventory.Device", models.DO_NOTHING, primary_key=True, related_name="uncertified", db_constraint=False
    )

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"device {self.device_id}"
