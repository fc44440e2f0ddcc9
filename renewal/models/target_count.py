"""How many targets a campaign has in each state, kept by triggers: pages ask every few seconds."""

from django.db import models


class TargetCount(models.Model):
    """By how much one statement changed the number of a campaign's targets in one state: its rows add up to that."""

    campaign_id = models.BigIntegerField()
    state = models.CharField(max_length=16)
    number = models.IntegerField()

    class Meta:
        indexes = [models.Index(fields=["campaign_id", "state"], include=["number"], name="targetcount_of_campaign")]

    def __str__(self) -> str:
        return f"{self.number:+d} {self.state} of campaign {self.campaign_id}"
