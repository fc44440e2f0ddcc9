"""Fleets, and the two groupings of their devices: where they stand and when they were made."""

from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from inventory.models.access import ScopedQuerySet


class FleetQuerySet(ScopedQuerySet["Fleet"]):
    fleet_path = "pk"

    def sharing_subjects(self, authority_id: int, subject_template: str) -> "FleetQuerySet":
        """Fleets whose devices get subjects by this template from this authority.

        Serial numbers are unique in a fleet only: two fleets here give one subject to two devices, unless the template
        names the fleet.
        """
        if "{fleet}" in subject_template:
            return self.none()
        return self.filter(authority_id=authority_id, profile__subject_template=subject_template)


class Fleet(models.Model):
    """Devices managed together. Its slug is the EST label; it names who signs for them and by which rules."""

    slug = models.SlugField(_("label"), unique=True, help_text=_("Part of every EST address of this fleet."))
    name = models.CharField(_("name"), max_length=100)
    authority = models.ForeignKey(
        "inventory.Authority",
        models.PROTECT,
        related_name="fleets",
        verbose_name=_("issuing authority"),
        limit_choices_to={"key_name__isnull": False},
        help_text=_("Signs the next certificate of every device. Certificates of earlier authorities stay valid."),
    )
    profile = models.ForeignKey("inventory.Profile", models.PROTECT, related_name="fleets", verbose_name=_("profile"))

    objects = FleetQuerySet.as_manager()

    class Meta:
        verbose_name = _("fleet")
        verbose_name_plural = _("fleets")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse an authority and profile by which another fleet gives the same subjects. Raises ValidationError.

        What was set before such a rule stays: whoever changes the name of a fleet need not change its certificates.
        """
        if not (self.authority_id and self.profile_id):
            return
        if Fleet.objects.filter(pk=self.pk, authority=self.authority_id, profile=self.profile_id).exists():
            return
        template = self.profile.subject_template
        other = Fleet.objects.sharing_subjects(self.authority_id, template).exclude(pk=self.pk).first()
        if other:
            text = _(
                "Fleet %(fleet)s has the same authority and subject template, %(template)s: devices with one serial "
                "number would get one subject. Put {fleet} into the template, or choose another authority."
            )
            raise ValidationError({"profile": text % {"fleet": other.slug, "template": template}})


def known_time_zone(name: str) -> None:
    """Raises ValidationError for what is no time zone of the IANA database."""
    try:
        ZoneInfo(name)
    # A name that is a path, or a directory of the database.
    except (KeyError, ValueError, OSError):
        raise ValidationError(_("%(name)s is no time zone; Europe/Paris is one."), params={"name": name}) from None


class SiteQuerySet(ScopedQuerySet["Site"]):
    pass


class Site(models.Model):
    """A place or region where devices of a fleet are installed."""

    fleet = models.ForeignKey(Fleet, models.PROTECT, related_name="sites", verbose_name=_("fleet"))
    name = models.CharField(_("name"), max_length=100)
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        blank=True,
        db_default="",
        default="",
        validators=[known_time_zone],
        help_text=_("Its name of the IANA database, such as Europe/Paris. Empty: the portal's TIME_ZONE_OF_SITES."),
    )

    objects = SiteQuerySet.as_manager()

    class Meta:
        verbose_name = _("site")
        verbose_name_plural = _("sites")
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["fleet", "name"], name="site_name_unique_in_fleet")]

    def __str__(self) -> str:
        return self.name


class BatchQuerySet(ScopedQuerySet["Batch"]):
    pass


class Batch(models.Model):
    """A manufacturing run: devices made together, whose certificates tend to end together."""

    fleet = models.ForeignKey(Fleet, models.PROTECT, related_name="batches", verbose_name=_("fleet"))
    name = models.CharField(_("name"), max_length=100)
    manufactured_on = models.DateField(_("manufactured on"), null=True, blank=True)

    objects = BatchQuerySet.as_manager()

    class Meta:
        verbose_name = _("manufacturing batch")
        verbose_name_plural = _("manufacturing batches")
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["fleet", "name"], name="batch_name_unique_in_fleet")]

    def __str__(self) -> str:
        return self.name
