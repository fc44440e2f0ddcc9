"""Certificate authorities: a name, a certificate, a key in the key store, and the shards of its CRL.

An external authority is somebody else's: it has no key here, signs nothing, and has no CRL and no OCSP here. It is
known by the certificates that it signed, and may itself have none in the inventory.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from inventory.models.access import ScopedQuerySet
from inventory.models.counters import Axis, used_by

if TYPE_CHECKING:
    from cryptography import x509


class AuthorityQuerySet(ScopedQuerySet["Authority"]):
    def _belonging_to(self, ids: Sequence[int]) -> Q:
        """Those that sign for the fleets or signed what their devices have, and those above."""
        own = self.model._base_manager.filter(Q(fleets__in=ids) | Q(pk__in=used_by(ids, Axis.AUTHORITY)))
        # Chains to devices have an issuing authority, at most one between, and a root.
        chain = ("pk", "parent", "parent__parent")
        return Q(*(Q(pk__in=own.values(each)) for each in chain), _connector=Q.OR)

    def own(self) -> "AuthorityQuerySet":
        """Those that sign here, and answer for what they signed."""
        return self.filter(key_name__isnull=False)

    def external(self) -> "AuthorityQuerySet":
        return self.filter(key_name__isnull=True)


class Authority(models.Model):
    slug = models.SlugField(_("slug"), unique=True, help_text=_("Part of the CRL, OCSP and AIA addresses."))
    name = models.CharField(_("name"), max_length=100)
    parent = models.ForeignKey(
        "self", models.PROTECT, related_name="subordinates", null=True, blank=True, verbose_name=_("signed by")
    )
    # Of our own, null only inside the transaction that establishes it: its certificate names it as subject.
    certificate = models.OneToOneField(
        "inventory.Certificate", models.PROTECT, related_name="subject_authority", null=True, editable=False
    )
    # Null: the authority is external.
    key_name = models.CharField(_("key"), max_length=100, unique=True, null=True, editable=False)  # noqa: DJ001
    # Of an external authority: the hash of its name and key identifier, as its certificates state them.
    external_identity = models.BinaryField(_("identity"), max_length=32, unique=True, null=True, editable=False)
    crl_shards = models.PositiveSmallIntegerField(
        _("CRL shards"),
        default=1,
        validators=[MinValueValidator(1)],
        help_text=_("Each new certificate is put into one of these for life; only ever raise it."),
    )
    created_at = models.DateTimeField(_("created"), editable=False)

    objects = AuthorityQuerySet.as_manager()

    class Meta:
        verbose_name = _("authority")
        verbose_name_plural = _("authorities")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=Q(crl_shards__gte=1), name="authority_has_a_crl_shard"),
            models.CheckConstraint(condition=~Q(parent=F("id")), name="authority_not_its_own_parent"),
            models.CheckConstraint(
                condition=Q(key_name__isnull=False, external_identity__isnull=True)
                | Q(key_name__isnull=True, external_identity__isnull=False),
                name="authority_own_or_external",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_external(self) -> bool:
        return self.key_name is None

    @cached_property
    def x509(self) -> "x509.Certificate":
        """The authority's own certificate, parsed once an instance."""
        if self.certificate is None:
            raise ValueError(f"Authority {self.slug} is not established: it has no certificate.")
        return self.certificate.x509
