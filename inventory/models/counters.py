"""Counts of certificates by expiry date, and of devices. Numbers of a fleet are read here, not counted each time.

Triggers (migration 0004) write what each statement changed as deltas; a job folds deltas into counts. Nothing on a
write path updates a row that another writer might want.
"""

from collections.abc import Sequence

from django.db import models
from django.utils.translation import gettext_lazy as _


class Axis(models.TextChoices):
    """By what certificates are grouped in counts. The row of `fleet` holds all of a fleet."""

    SITE = "site", _("site")
    FLEET = "fleet", _("fleet")
    BATCH = "batch", _("batch")
    PROFILE = "profile", _("profile")
    AUTHORITY = "authority", _("issuer")


class CertificateDelta(models.Model):
    """By how much one statement changed the number of device certificates that have these things in common.

    `state` is the certificate's, but `unconfirmed` for one issued as a renewal and not yet used.
    """

    day = models.DateField()
    fleet_id = models.BigIntegerField()
    site_id = models.BigIntegerField(null=True)
    batch_id = models.BigIntegerField(null=True)
    # Null for what another authority issued.
    profile_id = models.BigIntegerField(null=True)
    authority_id = models.BigIntegerField()
    state = models.CharField(max_length=16)
    number = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.number:+d} {self.state} on {self.day}"


class CertificateCount(models.Model):
    """Device certificates of a fleet that end on a day (of UTC), of one group of an axis, by state.

    Each certificate is counted once an axis: rows for all axes at once would be nearly as many as certificates.
    """

    axis = models.CharField(max_length=9, choices=Axis.choices)
    fleet_id = models.BigIntegerField()
    group_id = models.BigIntegerField(null=True)
    day = models.DateField()
    issued = models.BigIntegerField()
    unconfirmed = models.BigIntegerField()
    confirmed = models.BigIntegerField()
    superseded = models.BigIntegerField()
    revoked = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["axis", "day", "fleet_id", "group_id"],
                nulls_distinct=False,
                name="certificatecount_one_row_a_group",
            ),
        ]
        # On which days certificates of one group end: a page of their list begins there.
        indexes = [models.Index(fields=["axis", "group_id", "day"], name="certificatecount_of_group")]

    def __str__(self) -> str:
        return f"{self.axis} {self.group_id} on {self.day}"


def used_by(ids: Sequence[int], axis: Axis) -> "models.QuerySet[CertificateCount, int | None]":
    """Return the groups of an axis, such as profiles, that any certificate of these fleets belongs to."""
    counted = CertificateCount.objects.filter(axis=axis, fleet_id__in=ids, group_id__isnull=False)
    return counted.order_by().values_list("group_id", flat=True).distinct()


class CliffNotice(models.Model):
    """A cliff that a job has detected: a day on which too much of a fleet expires. Deleted once it is no longer one."""

    fleet = models.ForeignKey("inventory.Fleet", models.CASCADE, related_name="+")
    day = models.DateField()
    count = models.BigIntegerField()
    noticed_at = models.DateTimeField()
    # While issuing makes it larger, somebody should change the profile.
    grew_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["fleet", "day"], name="cliffnotice_one_a_day")]

    def __str__(self) -> str:
        return f"{self.count} of {self.fleet} on {self.day}"


class DeviceDelta(models.Model):
    """By how much one statement changed the number of devices of a fleet, and of those never seen."""

    fleet_id = models.BigIntegerField()
    number = models.IntegerField()
    never_seen = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.number:+d} devices of fleet {self.fleet_id}"


class DeviceCount(models.Model):
    """Devices of a fleet, and how many of them were never seen."""

    fleet_id = models.BigIntegerField(primary_key=True)
    number = models.BigIntegerField()
    never_seen = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.number} devices of fleet {self.fleet_id}"
