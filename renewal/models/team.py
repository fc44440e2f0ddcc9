"""Teams that visit devices in the field."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from inventory.models.access import ScopedQuerySet


class TeamQuerySet(ScopedQuerySet["Team"]):
    pass


class Team(models.Model):
    """People who visit devices of one fleet. A person may be in several teams."""

    fleet = models.ForeignKey("inventory.Fleet", models.PROTECT, related_name="teams", verbose_name=_("fleet"))
    name = models.CharField(_("name"), max_length=100)
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        related_name="teams",
        blank=True,
        verbose_name=_("members"),
        help_text=_("With the role “field” a person sees the orders of these teams only."),
    )

    objects = TeamQuerySet.as_manager()

    class Meta:
        verbose_name = _("field team")
        verbose_name_plural = _("field teams")
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["fleet", "name"], name="team_name_unique_in_fleet")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse another fleet. Raises ValidationError."""
        if Team.objects.filter(pk=self.pk).exclude(fleet=self.fleet_id).exists():
            raise ValidationError({"fleet": _("A team stays in its fleet, as its orders do; make another team.")})
