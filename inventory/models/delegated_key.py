"""Keys that do one thing in the name of an authority."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class DelegatedKey(models.Model):
    """A key of the portal's own, with the certificate by which an authority has it answer in its name."""

    authority = models.ForeignKey(
        "inventory.Authority",
        models.PROTECT,
        related_name="%(app_label)s_%(class)s_set",
        verbose_name=_("authority"),
    )
    certificate = models.OneToOneField(
        "inventory.Certificate",
        models.PROTECT,
        related_name="%(app_label)s_%(class)s",
        verbose_name=_("certificate"),
    )
    key_name = models.CharField(_("key"), max_length=100, unique=True, editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.certificate)
