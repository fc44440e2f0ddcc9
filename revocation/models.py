"""Published CRLs, requests for their publication, and OCSP signers."""

from collections.abc import Sequence

from django.db import models
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, JSONObject
from django.utils.translation import gettext_lazy as _

from inventory.models import Authority, DelegatedKey
from inventory.models.access import ScopedQuerySet


class CrlQuerySet(ScopedQuerySet["Crl"]):
    def _belonging_to(self, ids: Sequence[int]) -> Q:
        """Those of the authorities that the fleets use: whoever verifies a device reads them."""
        return Q(authority__in=Authority.objects.of_fleets(ids).values("pk"))

    def of_scope(self, authority_id: int, shard: int | None) -> "CrlQuerySet":
        """The CRLs of one shard, or with `shard` None the complete ones, latest first."""
        return self.filter(authority_id=authority_id, shard=shard).order_by("-number")

    def with_newest(self) -> "CrlQuerySet":
        """Annotate `newest`: `id` and `number` of the last CRL of the same scope. Two looks into an index for each."""
        named = JSONObject(id="id", number="number")
        of_authority = Crl.objects.filter(authority=OuterRef("authority")).order_by("-number")
        # Apart, as each is a range of the index. A shard has the CRL itself at least: the second is for none of them.
        of_shard = of_authority.filter(shard=OuterRef("shard")).values(found=named)[:1]
        complete = of_authority.filter(shard=None).values(found=named)[:1]
        return self.annotate(newest=Coalesce(Subquery(of_shard), Subquery(complete)))


class Crl(models.Model):
    """One published CRL. Its bytes are a file (`crl_files`); this row says what they are."""

    authority = models.ForeignKey(
        "inventory.Authority", models.PROTECT, related_name="crls", verbose_name=_("authority")
    )
    # Null: the complete CRL of the authority (`all.crl`).
    shard = models.PositiveSmallIntegerField(_("shard"), null=True)
    number = models.PositiveBigIntegerField(_("CRL number"))
    published_at = models.DateTimeField(_("published"))
    # Precedes it, for verifiers whose clocks run behind.
    this_update = models.DateTimeField(_("thisUpdate"))
    next_update = models.DateTimeField(_("nextUpdate"))
    entries = models.PositiveIntegerField(_("revoked certificates"))
    size = models.PositiveIntegerField(_("size in bytes"))
    sha256 = models.BinaryField(_("SHA-256"), max_length=32)

    objects = CrlQuerySet.as_manager()

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


class PublicationRequest(models.Model):
    """A CRL that must be published anew, because a revocation is not in it yet.

    Written in the transaction of the revocation, deleted in that of the publication: a lost job loses nothing.
    Several rows may ask for the same CRL; writers never wait for each other.
    """

    authority = models.ForeignKey("inventory.Authority", models.PROTECT, related_name="+", verbose_name=_("authority"))
    shard = models.PositiveSmallIntegerField(_("shard"), null=True)
    requested_at = models.DateTimeField(_("requested"))

    class Meta:
        verbose_name = _("publication request")
        verbose_name_plural = _("publication requests")

    def __str__(self) -> str:
        return f"{self.authority} {_('all') if self.shard is None else self.shard}"


class OcspSigner(DelegatedKey):
    """A key that answers for an authority, with the short-lived certificate that says so (RFC 6960 4.2.2.2)."""

    class Meta:
        verbose_name = _("OCSP signer")
        verbose_name_plural = _("OCSP signers")
