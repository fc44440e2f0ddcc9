"""What was published about revoked certificates."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


class Crl(models.Model):
    """One published CRL. Its bytes are a file (`publishing.crl_path`); this row says what they are."""

    authority = models.ForeignKey(
        "inventory.Authority", models.PROTECT, related_name="crls", verbose_name=_("authority")
    )
    # Null: the complete CRL of the authority (`all.crl`).
    shard = models.PositiveSmallIntegerField(_("shard"), null=True)
    number = models.PositiveBigIntegerField(_("CRL number"))
    this_update = models.DateTimeField(_("thisUpdate"))
    next_update = models.DateTimeField(_("nextUpdate"))
    entries = models.PositiveIntegerField(_("revoked certificates"))
    size = models.PositiveIntegerField(_("size in bytes"))
    sha256 = models.BinaryField(_("SHA-256"), max_length=32)

    class Meta:
        verbose_name = _("CRL")
        verbose_name_plural = _("CRLs")
        constraints = [
            # RFC 5280 5.2.3: monotonically increasing for a given scope and issuer.
            models.UniqueConstraint(
                fields=["authority", "shard", "number"], nulls_distinct=False, name="crl_number_unique_in_scope"
            ),
            models.CheckConstraint(condition=Q(next_update__gt=F("this_update")), name="crl_ends_after_it_begins"),
        ]
        indexes = [models.Index(fields=["authority", "shard", "-number"], name="crl_latest_of_shard")]

    def __str__(self) -> str:
        scope = _("all") if self.shard is None else self.shard
        return f"{self.authority} {scope} #{self.number}"
