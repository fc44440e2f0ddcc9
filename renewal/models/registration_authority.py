"""Registration authorities: RSA keys that speak SCEP in the name of an authority."""

from django.utils.translation import gettext_lazy as _

from inventory.models import DelegatedKey


class RegistrationAuthority(DelegatedKey):
    """An RSA key that opens and signs the SCEP messages of an authority, which itself may be EC (RFC 8894 2.1.3)."""

    class Meta:
        verbose_name = _("SCEP registration authority")
        verbose_name_plural = _("SCEP registration authorities")
