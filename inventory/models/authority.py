"""Certificate authorities: a name, a certificate, a key in the key store, and the shards of its CRL.

An external authority is somebody else's: it has no key here, signs nothing, and has no CRL and no OCSP here. It is
known by the certificates that it signed, and may itself have none in the inventory.

Nobody trusts what stands below a revoked authority, however far. That question has one answer, here: `ABOVE` says which
authorities stand above one, `REVOKED`, `RevokedAbove` and `AuthorityQuerySet.revoked` whether any of them is revoked.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.expressions import RawSQL
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from inventory.models.access import ScopedQuerySet
from inventory.models.counters import Axis, used_by

if TYPE_CHECKING:
    from cryptography import x509

# By the key of its row. Authorities are few.
_PARSED: dict[int, "x509.Certificate"] = {}


# A recursive common table expression: of each authority that meets `start`, a condition on `a`, itself and all above.
# A chain of certificates is shorter than 16; only a circle, which no signature can make, would be read so far.
ABOVE = """
    above (authority_id, id, parent_id, certificate_id, distance) AS (
        SELECT a.id, a.id, a.parent_id, a.certificate_id, 0 FROM inventory_authority a WHERE {start}
        UNION ALL
        SELECT below.authority_id, a.id, a.parent_id, a.certificate_id, below.distance + 1
        FROM above below JOIN inventory_authority a ON a.id = below.parent_id
        WHERE below.distance < 16
    )"""
# The keys of the authorities that nobody trusts any more.
REVOKED = f"""
    WITH RECURSIVE {ABOVE.format(start="true")}
    SELECT above.authority_id FROM above JOIN inventory_certificate c ON c.id = above.certificate_id
    WHERE c.state = 'revoked'"""  # noqa: S608 - of constants


@dataclass(frozen=True)
class RevocationAbove:
    """The earliest revocation among an authority and those above it: since then nobody trusts what it signed."""

    authority: str
    at: datetime
    reason: str

    @classmethod
    def read(cls, annotated: str | None) -> "RevocationAbove | None":
        """Return what `RevokedAbove` says of one authority."""
        if annotated is None:
            return None
        found = json.loads(annotated)
        return cls(found["authority"], datetime.fromisoformat(found["at"]), found["reason"])


class RevokedAbove(Func):
    """The `RevocationAbove` of the authority whose key the expression gives, as text for its `read`, or NULL."""

    arity = 1
    output_field = models.TextField()
    template = f"""(
        WITH RECURSIVE {ABOVE.format(start="a.id = %(expressions)s")}
        SELECT jsonb_build_object('authority', a.slug, 'at', c.revoked_at, 'reason', c.revocation_reason)::text
        FROM above JOIN inventory_authority a ON a.id = above.id
        JOIN inventory_certificate c ON c.id = above.certificate_id
        WHERE c.state = 'revoked' ORDER BY c.revoked_at, above.distance LIMIT 1)"""  # noqa: S608 - of constants


class AuthorityQuerySet(ScopedQuerySet["Authority"]):
    def _belonging_to(self, ids: Sequence[int]) -> Q:
        """Those that sign for the fleets or signed what their devices have, and those above."""
        own = self.model._base_manager.filter(Q(fleets__in=ids) | Q(pk__in=used_by(ids, Axis.AUTHORITY)))
        # Chains to devices have an issuing authority, at most one between, and a root.
        chain = ("pk", "parent", "parent__parent")
        return Q(*(Q(pk__in=own.values(each)) for each in chain), _connector=Q.OR)

    def own(self) -> "AuthorityQuerySet":
        """Authorities of this portal: they have a key here, CRLs and OCSP."""
        return self.filter(key_name__isnull=False)

    def external(self) -> "AuthorityQuerySet":
        return self.filter(key_name__isnull=True)

    def revoked(self) -> "AuthorityQuerySet":
        """Authorities that nobody trusts any more: their certificate was revoked, or that of any authority above."""
        return self.filter(pk__in=RawSQL(REVOKED, []))  # noqa: S611 - of constants

    def revoked_ids(self) -> list[int]:
        """Return the keys of `revoked`. One query.

        With keys in its hands PostgreSQL knows from its statistics how many certificates these authorities signed.
        """
        return list(self.revoked().order_by("pk").values_list("pk", flat=True))


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
        """The authority's own certificate, read and parsed once a process: what is signed never changes."""
        if self.certificate_id is None:
            raise ValueError(f"Authority {self.slug} is not established: it has no certificate.")
        parsed = _PARSED.get(self.certificate_id)
        if parsed is None:
            assert self.certificate is not None
            parsed = _PARSED[self.certificate_id] = self.certificate.x509
        return parsed
