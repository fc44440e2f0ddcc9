"""How many silent devices answered by themselves, counted by how long they had been silent."""

from django.db import models


class Healing(models.Model):
    """Devices of a fleet and class, of one site or (None) of all, that gave no answer for at least `weeks` weeks.

    `devices`: those of which it is known how it ended; `healed`: those that answered without a visit before their
    certificate ended. A job writes all rows anew.
    """

    fleet_id = models.BigIntegerField()
    site_id = models.BigIntegerField(null=True)
    connectivity = models.CharField(max_length=16)
    weeks = models.PositiveSmallIntegerField()
    devices = models.PositiveIntegerField()
    healed = models.PositiveIntegerField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["fleet_id", "site_id", "connectivity", "weeks"],
                nulls_distinct=False,
                name="healing_one_row_a_week",
            ),
            models.CheckConstraint(condition=models.Q(healed__lte=models.F("devices")), name="healing_is_a_share"),
        ]

    def __str__(self) -> str:
        return f"{self.healed} of {self.devices} after {self.weeks} weeks"
