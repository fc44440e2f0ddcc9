"""How a campaign stood on each day, what was expected of it then, and what came."""

from datetime import timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _

from renewal.models.campaign import Campaign


class CampaignDay(models.Model):
    """The targets of a campaign by state, counted once on a day, in UTC."""

    campaign = models.ForeignKey(
        Campaign,
        models.CASCADE,
        related_name="days",
        verbose_name=_("campaign"),
        db_index=False,  # campaignday_once begins with it
    )
    day = models.DateField(_("day"))
    at = models.DateTimeField(_("time"))
    # By TargetState, all of them.
    targets = models.JSONField(_("targets"))

    class Meta:
        verbose_name = _("day of a campaign")
        verbose_name_plural = _("days of campaigns")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["campaign", "day"], name="campaignday_once")]

    def __str__(self) -> str:
        return f"{self.campaign_id} on {self.day}"


class Forecast(models.Model):
    """What was expected on a day for so many days later, never changed; and what came, written beside when it had come.

    P50: in one course of two it is at most so many; P90: in nine of ten.
    """

    campaign = models.ForeignKey(
        Campaign,
        models.CASCADE,
        related_name="forecasts",
        verbose_name=_("campaign"),
        db_index=False,  # forecast_once begins with it
    )
    made_on = models.DateField(_("made on"))
    made_at = models.DateTimeField(_("made"))
    horizon_days = models.PositiveSmallIntegerField(_("days ahead"))
    for_at = models.DateTimeField(_("for"))
    # How long the campaign had stood still: a forecast that a pause overtook is of another course, and not scored.
    paused_for = models.DurationField(default=timedelta(0))
    open_p50 = models.PositiveIntegerField(_("open, P50"))
    open_p90 = models.PositiveIntegerField(_("open, P90"))
    missed_p50 = models.PositiveIntegerField(_("missed, P50"))
    missed_p90 = models.PositiveIntegerField(_("missed, P90"))
    open_came = models.PositiveIntegerField(_("open"), null=True)
    missed_came = models.PositiveIntegerField(_("missed"), null=True)

    class Meta:
        verbose_name = _("forecast")
        verbose_name_plural = _("forecasts")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["campaign", "made_on", "horizon_days"], name="forecast_once"),
            models.CheckConstraint(
                condition=models.Q(open_came__isnull=True, missed_came__isnull=True)
                | models.Q(open_came__isnull=False, missed_came__isnull=False),
                name="forecast_scored_whole",
            ),
        ]
        indexes = [
            models.Index(fields=["for_at"], condition=models.Q(open_came__isnull=True), name="forecast_to_be_scored")
        ]

    def __str__(self) -> str:
        return f"{self.campaign_id} on {self.made_on} for {self.horizon_days} d"
