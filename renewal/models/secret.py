"""One-time secrets by which a device proves itself before it has a certificate."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class EnrolmentProtocol(models.TextChoices):
    EST = "est", _("EST")
    SCEP = "scep", _("SCEP")


class EnrolmentSecret(models.Model):
    """The hash of a random secret. It is spent exactly when a certificate was issued for it."""

    device = models.ForeignKey(
        "inventory.Device", models.PROTECT, related_name="enrolment_secrets", verbose_name=_("device")
    )
    protocol = models.CharField(_("protocol"), max_length=8, choices=EnrolmentProtocol.choices)
    # The secret has 128 random bits, so a plain hash cannot be searched and costs nothing to check.
    sha256 = models.BinaryField(_("SHA-256"), max_length=32, unique=True)
    created_at = models.DateTimeField(_("created"))
    expires_at = models.DateTimeField(_("expires"))
    spent_at = models.DateTimeField(_("spent"), null=True)
    certificate = models.OneToOneField(
        "inventory.Certificate",
        models.PROTECT,
        related_name="enrolment_secret",
        null=True,
        verbose_name=_("certificate issued"),
    )

    class Meta:
        verbose_name = _("enrolment secret")
        verbose_name_plural = _("enrolment secrets")
        constraints = [
            models.CheckConstraint(
                condition=Q(spent_at__isnull=True, certificate__isnull=True)
                | Q(spent_at__isnull=False, certificate__isnull=False),
                name="secret_spent_iff_certificate",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_protocol_display()} {self.device}"
