"""Profiles: the rules by which a fleet's certificates are made."""

from collections.abc import Sequence
from datetime import timedelta

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.models.access import ScopedQuerySet
from inventory.models.counters import Axis, used_by
from inventory.x509 import names
from inventory.x509.keys import KeyType

# Names of algorithms are the same in every language.
KEY_TYPE_CHOICES = [(kind.value, kind.label) for kind in KeyType]

_SAMPLE = {"serial": "SN000001", "fleet": "fleet", "batch": "batch", "site": "site"}


def default_key_types() -> list[str]:
    return [KeyType.EC_P256.value]


def default_extended_key_usages() -> list[str]:
    return ["1.3.6.1.5.5.7.3.2"]  # RFC 5280 4.2.1.12: id-kp-clientAuth


class ProfileQuerySet(ScopedQuerySet["Profile"]):
    def _belonging_to(self, ids: Sequence[int]) -> Q:
        """Those by which certificates of the fleets are made, or were."""
        now = self.model._base_manager.filter(fleets__in=ids).values("pk")
        return Q(pk__in=now) | Q(pk__in=used_by(ids, Axis.PROFILE))


class Profile(models.Model):
    slug = models.SlugField(_("slug"), unique=True)
    name = models.CharField(_("name"), max_length=100)
    validity = models.DurationField(_("validity"), help_text=_("Before jitter is added."))
    jitter_max = models.DurationField(
        _("largest jitter"),
        default=timedelta(0),
        help_text=_("Each certificate lives longer by a random part of this, so that a batch does not end in one day."),
    )
    renewal_window = models.DurationField(
        _("renewal window"), help_text=_("How long before the end of a certificate its device may renew it.")
    )
    key_types = ArrayField(
        models.CharField(max_length=16, choices=KEY_TYPE_CHOICES),
        verbose_name=_("key types"),
        default=default_key_types,
    )
    extended_key_usages = ArrayField(
        models.CharField(max_length=64),
        verbose_name=_("extended key usages"),
        default=default_extended_key_usages,
        help_text=_("Object identifiers in dotted form."),
    )
    subject_template = models.CharField(
        _("subject template"),
        max_length=255,
        default="CN={serial}",
        help_text=_("RFC 4514, with {serial}, {fleet}, {batch} and {site}."),
    )
    san_templates = ArrayField(
        models.CharField(max_length=255),
        verbose_name=_("alternative name templates"),
        default=list,
        blank=True,
        help_text=_("For example DNS:{serial}.meters.example or URI:urn:dev:{serial}."),
    )
    allow_same_key = models.BooleanField(
        _("allow renewal with the same key"),
        default=False,
        help_text=_("Otherwise a device must make a new key for each certificate."),
    )
    max_unconfirmed = models.PositiveSmallIntegerField(
        _("most unused renewals"),
        default=3,
        validators=[MinValueValidator(1)],
        help_text=_(
            "So many renewals of one certificate may wait for their first use. Whoever holds its key gets no more."
        ),
    )

    objects = ProfileQuerySet.as_manager()

    class Meta:
        verbose_name = _("profile")
        verbose_name_plural = _("profiles")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=Q(validity__gt=timedelta(0)), name="profile_validity_positive"),
            models.CheckConstraint(condition=Q(jitter_max__gte=timedelta(0)), name="profile_jitter_not_negative"),
            models.CheckConstraint(
                condition=Q(renewal_window__gt=timedelta(0)) & Q(renewal_window__lte=F("validity")),
                name="profile_window_within_validity",
            ),
            models.CheckConstraint(
                condition=Q(key_types__len__gt=0) & Q(key_types__contained_by=[kind.value for kind in KeyType]),
                name="profile_key_types_known",
            ),
            models.CheckConstraint(condition=Q(max_unconfirmed__gte=1), name="profile_allows_a_renewal"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse templates and usages that cannot give a certificate, when they are set rather than at issue.

        Raises ValidationError.
        """
        errors = {}
        for field, attempt in (
            ("subject_template", lambda: names.subject(self.subject_template, _SAMPLE)),
            ("san_templates", lambda: names.general_names(self.san_templates or [], _SAMPLE)),
            ("extended_key_usages", lambda: [names.object_identifier(oid) for oid in self.extended_key_usages or []]),
        ):
            try:
                attempt()
            except ValueError as error:
                errors[field] = str(error)
        if "subject_template" not in errors and (shared := self._fleets_with_one_subject()):
            text = _(
                "Fleets %(fleets)s have one authority: devices with one serial number would get one subject. Put "
                "{fleet} into the template, or give the fleets authorities of their own."
            )
            errors["subject_template"] = text % {"fleets": ", ".join(shared)}
        if errors:
            raise ValidationError(errors)

    def _fleets_with_one_subject(self) -> list[str]:
        """Return fleets that a new template would let give the same subjects, by the same authority."""
        if self.pk is None or Profile.objects.filter(pk=self.pk, subject_template=self.subject_template).exists():
            return []
        fleets = self.fleets.model.objects
        for own in self.fleets.order_by("pk"):
            others = fleets.sharing_subjects(own.authority_id, self.subject_template).exclude(pk=own.pk)
            same_profile = self.fleets.filter(authority=own.authority_id).exclude(pk=own.pk)
            clash = others.first() or ("{fleet}" not in self.subject_template and same_profile.first())
            if clash:
                return [own.slug, clash.slug]
        return []
