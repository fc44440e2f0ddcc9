"""Waves: the parts of a campaign that open one after the other."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from inventory.models.access import ScopedQuerySet
from renewal.models.campaign import Campaign


class WaveQuerySet(ScopedQuerySet["Wave"]):
    fleet_path = "campaign__fleet_id"


class Wave(models.Model):
    """The targets of a campaign with its number. A campaign that is not cut has one wave, number 0."""

    campaign = models.ForeignKey(
        Campaign,
        models.CASCADE,
        related_name="waves",
        verbose_name=_("campaign"),
        db_index=False,  # wave_once_in_campaign begins with it
    )
    number = models.PositiveSmallIntegerField(_("number"))
    size = models.PositiveIntegerField(_("targets"))
    # When the first of its certificates ends.
    first_end = models.DateTimeField(_("first certificate ends"))
    opened_at = models.DateTimeField(_("opened"), null=True)
    # Empty: by the start of the campaign, or by what the wave before has shown.
    opened_by = models.CharField(_("opened by"), max_length=150, blank=True, default="")
    # What somebody has seen of it and let the campaign go on in spite of it: only later answers count against it.
    excused_answers = models.PositiveIntegerField(default=0)
    excused_failures = models.PositiveIntegerField(default=0)

    objects = WaveQuerySet.as_manager()

    class Meta:
        verbose_name = _("wave")
        verbose_name_plural = _("waves")
        ordering = ["number"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["campaign", "number"], name="wave_once_in_campaign")]

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.number}"
