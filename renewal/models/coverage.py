"""Coverage counts: how many expiring certificates are renewed or in a campaign. Triggers cannot maintain them."""

from django.db import models


class CoverageCount(models.Model):
    """Standing certificates of a fleet that end on a day, as they were at `counted_at`. A job writes all rows anew."""

    fleet_id = models.BigIntegerField()
    day = models.DateField()
    # The device has a newer certificate, which it has not used yet.
    renewed = models.BigIntegerField()
    renewed_ended = models.BigIntegerField()
    # Neither renewed nor ended, and a target of an unfinished campaign.
    in_campaign = models.BigIntegerField()
    counted_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["day", "fleet_id"], name="coveragecount_one_row_a_day"),
        ]

    def __str__(self) -> str:
        return f"fleet {self.fleet_id} on {self.day}"
