"""Certificates, byte for byte: every one that our authorities ever signed, and those of others that we track."""

from datetime import datetime, timedelta

from cryptography import x509
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Case, F, OuterRef, Q, Value, When
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from inventory.models.access import ScopedQuerySet
from inventory.models.authority import Authority
from inventory.models.profile import KEY_TYPE_CHOICES
from inventory.models.vocabulary import known


class Purpose(models.TextChoices):
    """What the subject does with the key."""

    DEVICE = "device", _("device")
    AUTHORITY = "authority", _("certificate authority")
    OCSP_SIGNER = "ocsp_signer", _("OCSP signer")
    SCEP_RA = "scep_ra", _("SCEP registration authority")
    TLS_SERVER = "tls_server", _("TLS server")
    TRACKED = "tracked", _("tracked, of no device")


class CertificateState(models.TextChoices):
    """Facts that were recorded; `CertificateStatus` is what they mean at a moment. That a certificate expired, or its
    issuer was revoked, is derived, never stored.
    """

    ISSUED = "issued", _("issued, not yet used")
    CONFIRMED = "confirmed", _("confirmed by use")
    SUPERSEDED = "superseded", _("superseded")
    REVOKED = "revoked", _("revoked")


class CertificateStatus(models.TextChoices):
    """Certificate status, derived from recorded facts, the issuer and the time: the first that applies."""

    REVOKED = "revoked", _("revoked")
    SUPERSEDED = "superseded", _("superseded")
    # Its issuer, or an authority above that one: no verifier accepts it, and the gate refuses it, ended or not.
    ISSUER_REVOKED = "issuer_revoked", _("issuer revoked")
    EXPIRED = "expired", _("expired")
    NOT_YET_VALID = "not_yet_valid", _("not yet valid")
    UNCONFIRMED = "unconfirmed", _("unconfirmed")
    EXPIRING = "expiring", _("expiring")
    VALID = "valid", _("valid")


# A certificate that ends within this span is shown as expiring.
EXPIRING_SPAN = timedelta(days=90)


class RevocationReason(models.TextChoices):
    """RFC 5280 5.3.1, without the values that a CA must not use or that belong to delta CRLs and holds."""

    UNSPECIFIED = "unspecified", _("unspecified")
    KEY_COMPROMISE = "keyCompromise", _("key compromise")
    CA_COMPROMISE = "cACompromise", _("CA compromise")
    AFFILIATION_CHANGED = "affiliationChanged", _("affiliation changed")
    SUPERSEDED = "superseded", _("superseded")
    CESSATION_OF_OPERATION = "cessationOfOperation", _("cessation of operation")
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn", _("privilege withdrawn")


# Keys that no profile can allow are met in certificates of other authorities.
SEEN_KEY_TYPE_CHOICES = [*KEY_TYPE_CHOICES, ("other", _("other"))]

LIVE_STATES = (CertificateState.ISSUED, CertificateState.CONFIRMED)
# The key of a certificate revoked for one of these is in somebody else's hands. RFC 5280 5.3.1: what a compromised
# authority signed is no longer known to be its word.
COMPROMISES = (RevocationReason.KEY_COMPROMISE, RevocationReason.CA_COMPROMISE)


class CertificateQuerySet(ScopedQuerySet["Certificate"]):
    """The questions that admin, API, gate and reports ask, each in one place."""

    # What the portal signed for itself, and what is only tracked, is of no fleet.
    fleet_path = "device__fleet_id"

    def of_devices(self) -> "CertificateQuerySet":
        return self.filter(purpose=Purpose.DEVICE)

    def standing(self) -> "CertificateQuerySet":
        """Certificates in use by a device: neither superseded nor revoked, whether expired or not."""
        return self.filter(state__in=LIVE_STATES)

    def valid(self, now: datetime) -> "CertificateQuerySet":
        return self.standing().filter(not_before__lte=now, not_after__gte=now)

    def expired(self, now: datetime) -> "CertificateQuerySet":
        """Certificates that ended while in use: their devices can no longer authenticate."""
        return self.standing().filter(not_after__lt=now)

    def expiring_between(self, start: datetime, end: datetime) -> "CertificateQuerySet":
        """Standing certificates with `start <= not_after < end`."""
        return self.standing().filter(not_after__gte=start, not_after__lt=end)

    def expiring_within(self, span: timedelta, now: datetime) -> "CertificateQuerySet":
        """Valid certificates with `not_after < now + span`."""
        return self.valid(now).filter(not_after__lt=now + span)

    def unconfirmed(self, now: datetime) -> "CertificateQuerySet":
        """Renewals that were not used yet: the device may still depend on the predecessor."""
        return self.valid(now).filter(state=CertificateState.ISSUED, predecessor__isnull=False)

    def revoked(self) -> "CertificateQuerySet":
        return self.filter(state=CertificateState.REVOKED)

    def trusted(self) -> "CertificateQuerySet":
        """Certificates of which no issuer, up to the root, is revoked. Runs one query immediately."""
        return self.exclude(authority_id__in=Authority.objects.revoked_ids())

    def issuer_revoked(self) -> "CertificateQuerySet":
        """Certificates in use whose issuer, or any authority above it, was revoked. Runs one query immediately."""
        return self.standing().filter(authority_id__in=Authority.objects.revoked_ids())

    def with_issuer(self) -> "CertificateQuerySet":
        """Annotate `issuer_is_revoked`, so that a list needs no query for each certificate."""
        # Takes the place of the cached property.
        return self.annotate(issuer_is_revoked=_of_revoked_issuer())  # type: ignore[no-redef]

    def newer(self) -> "CertificateQuerySet":
        """Those that were issued after the certificate of an outer query, to the same device.

        Not by their keys: the history of another authority is imported after its successor has begun to issue.
        """
        later = Q(issued_at__gt=OuterRef("issued_at")) | Q(issued_at=OuterRef("issued_at"), pk__gt=OuterRef("pk"))
        return self.filter(later, device=OuterRef("device"))

    def with_status(self, now: datetime) -> "CertificateQuerySet":
        """Give each certificate its `status`, a value of CertificateStatus."""
        return self.annotate(status=status_at(now))

    def of_status(self, status: CertificateStatus, now: datetime) -> "CertificateQuerySet":
        """Return the certificates that a list filtered by `status` holds, asked in a way that indexes can answer.

        `valid` holds every certificate that a verifier accepts now, so the expiring and the unconfirmed too; `expiring`
        those of them that end soon, confirmed or not. Runs one query immediately where the issuer matters.
        """
        match status:
            case CertificateStatus.VALID:
                return self.valid(now).trusted()
            case CertificateStatus.EXPIRING:
                return self.expiring_within(EXPIRING_SPAN, now).trusted()
            case CertificateStatus.UNCONFIRMED:
                return self.unconfirmed(now).trusted()
            case CertificateStatus.ISSUER_REVOKED:
                return self.issuer_revoked()
            case CertificateStatus.EXPIRED:
                return self.expired(now).trusted()
            case CertificateStatus.NOT_YET_VALID:
                return self.standing().filter(not_before__gt=now).trusted()
            case CertificateStatus.REVOKED:
                return self.revoked()
            case CertificateStatus.SUPERSEDED:
                return self.filter(state=CertificateState.SUPERSEDED)


def status_at(now: datetime) -> Case:
    """Return the SQL of `Certificate.status_at`."""
    steps = [
        When(state=CertificateState.REVOKED, then=Value(CertificateStatus.REVOKED.value)),
        When(state=CertificateState.SUPERSEDED, then=Value(CertificateStatus.SUPERSEDED.value)),
        When(_of_revoked_issuer(), then=Value(CertificateStatus.ISSUER_REVOKED.value)),
        When(not_after__lt=now, then=Value(CertificateStatus.EXPIRED.value)),
        When(not_before__gt=now, then=Value(CertificateStatus.NOT_YET_VALID.value)),
        When(
            state=CertificateState.ISSUED,
            predecessor__isnull=False,
            then=Value(CertificateStatus.UNCONFIRMED.value),
        ),
        When(not_after__lt=now + EXPIRING_SPAN, then=Value(CertificateStatus.EXPIRING.value)),
    ]
    return Case(*steps, default=Value(CertificateStatus.VALID.value), output_field=models.TextField())


def _of_revoked_issuer() -> Q:
    # PostgreSQL asks for the authorities once a statement, not for each row.
    return Q(authority_id__in=Authority.objects.revoked().order_by().values("pk"))


class Certificate(models.Model):
    # The indexes below begin with authority, device and profile. That these are there is asked by whoever deletes one:
    # docs/decisions/references.md
    authority = models.ForeignKey(
        "inventory.Authority",
        models.PROTECT,
        related_name="issued_certificates",
        verbose_name=_("issuer"),
        db_index=False,
        db_constraint=False,
    )
    serial = models.CharField(_("serial number"), max_length=40, help_text=_("Hexadecimal, lower case."))
    purpose = models.CharField(_("purpose"), max_length=16, choices=Purpose.choices)
    device = models.ForeignKey(
        "inventory.Device",
        models.PROTECT,
        related_name="certificates",
        null=True,
        verbose_name=_("device"),
        db_index=False,
        db_constraint=False,
    )
    profile = models.ForeignKey(
        "inventory.Profile",
        models.PROTECT,
        related_name="certificates",
        null=True,
        verbose_name=_("profile"),
        db_index=False,
        db_constraint=False,
    )
    subject = models.CharField(_("subject"), max_length=512)
    key_type = models.CharField(_("key type"), max_length=16, choices=SEEN_KEY_TYPE_CHOICES)
    der = models.BinaryField(_("certificate"))
    sha256 = models.BinaryField(_("SHA-256 fingerprint"), max_length=32)
    spki_sha256 = models.BinaryField(_("SHA-256 of the public key"), max_length=32)
    not_before = models.DateTimeField(_("valid from"))
    not_after = models.DateTimeField(_("expires"))
    jitter = models.DurationField(_("jitter"), default=timedelta(0))
    issued_at = models.DateTimeField(_("issued"))
    # The last 32 bits of the serial number: which of its authority's certificates this is, counted from 0. Null: the
    # number is older than the index, or somebody else's. docs/decisions/issuance-index.md
    issuance_index = models.BigIntegerField(_("issuance index"), null=True, editable=False)
    crl_shard = models.PositiveSmallIntegerField(_("CRL shard"), default=0)
    state = models.CharField(
        _("state"), max_length=16, choices=CertificateState.choices, default=CertificateState.ISSUED
    )
    # The certificate that authenticated the request for this one. Known at issue, so lineage costs no update. The
    # index of `certificate_one_renewal_for_a_key` begins with it.
    predecessor = models.ForeignKey(
        "self", models.PROTECT, related_name="renewals", null=True, verbose_name=_("renewal of"), db_index=False
    )
    # The certificate whose first use superseded this one.
    successor = models.ForeignKey(
        "self", models.PROTECT, related_name="superseded", null=True, verbose_name=_("superseded by"), db_index=False
    )
    activated_at = models.DateTimeField(_("first used"), null=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True)
    revocation_reason = models.CharField(
        _("reason"), max_length=32, choices=RevocationReason.choices, blank=True, default=""
    )

    objects = CertificateQuerySet.as_manager()

    class Meta:
        verbose_name = _("certificate")
        verbose_name_plural = _("certificates")
        permissions = [("revoke_certificate", "Can revoke certificates")]
        constraints = [
            # In this order it finds what people search, too, who know no issuer.
            models.UniqueConstraint(fields=["serial", "authority"], name="certificate_serial_unique_for_issuer"),
            models.UniqueConstraint(fields=["sha256"], name="certificate_fingerprint_unique"),
            models.UniqueConstraint(
                fields=["authority", "issuance_index"],
                condition=Q(issuance_index__isnull=False),
                name="certificate_issuance_index_unique_for_issuer",
            ),
            models.CheckConstraint(
                condition=Q(issuance_index__range=(0, 2**32 - 1)), name="certificate_issuance_index_32_bits"
            ),
            # One request gives one certificate: asking again with the same key finds the first answer.
            models.UniqueConstraint(
                fields=["predecessor", "spki_sha256"],
                condition=Q(predecessor__isnull=False),
                name="certificate_one_renewal_for_a_key",
            ),
            # RFC 5280 4.1.2.2: a positive integer of at most 20 octets, which is the length of the column. To count in
            # the expression costs PostgreSQL eight times as much, at each change of a state.
            models.CheckConstraint(condition=Q(serial__regex="^[1-9a-f][0-9a-f]*$"), name="certificate_serial_hex"),
            models.CheckConstraint(condition=Q(not_after__gt=F("not_before")), name="certificate_ends_after_it_begins"),
            models.CheckConstraint(
                # Our door gives each a profile; what somebody else signed has none.
                condition=Q(purpose=Purpose.DEVICE, device__isnull=False)
                | (~Q(purpose=Purpose.DEVICE) & Q(device__isnull=True)),
                name="certificate_device_iff_purpose",
            ),
            models.CheckConstraint(
                condition=known("state", "inventory_certificate_state_known"), name="certificate_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state=CertificateState.REVOKED, revoked_at__isnull=False)
                & Q(known("revocation_reason", "inventory_revocation_reason_known"))
                | ~Q(state=CertificateState.REVOKED) & Q(revoked_at__isnull=True, revocation_reason=""),
                name="certificate_revoked_has_date_and_reason",
            ),
            models.CheckConstraint(
                condition=~Q(state=CertificateState.SUPERSEDED) | Q(successor__isnull=False),
                name="certificate_superseded_has_successor",
            ),
            models.CheckConstraint(
                condition=~Q(state=CertificateState.CONFIRMED) | Q(activated_at__isnull=False),
                name="certificate_confirmed_was_used",
            ),
        ]
        indexes = [
            models.Index(fields=["not_after", "id"], name="certificate_expiry"),
            models.Index(fields=["spki_sha256"], name="certificate_spki"),
            # With the id: the latest of a batch's thirty thousand are found without a look at the rows.
            models.Index(fields=["device", "id"], name="certificate_of_device"),
            models.Index(
                fields=["authority", "crl_shard"],
                condition=Q(state=CertificateState.REVOKED),
                include=["serial", "revoked_at", "revocation_reason", "not_after"],
                name="certificate_revoked_by_shard",
            ),
            # The last word of each device that was revoked: what the queues of those cut off ask.
            models.Index(
                fields=["device", "issued_at", "id"],
                condition=Q(state=CertificateState.REVOKED),
                include=["purpose", "authority"],
                name="certificate_revoked_of_device",
            ),
            # One a filter of the lists, in their order: a choice that few certificates meet is read as fast as any.
            models.Index(fields=["authority", "not_after", "id"], name="certificate_by_authority"),
            models.Index(fields=["profile", "not_after", "id"], name="certificate_by_profile"),
            models.Index(
                fields=["not_after", "id"],
                condition=Q(state__in=LIVE_STATES),
                # What a sweep and the queue of the expired read of most rows: ends are in another order than rows, each
                # would be another page.
                include=["device", "profile", "purpose", "issued_at", "state"],
                name="certificate_standing_expiry",
            ),
            models.Index(
                fields=["not_after", "id"],
                condition=Q(state=CertificateState.SUPERSEDED),
                name="certificate_superseded_expiry",
            ),
            models.Index(
                fields=["not_after", "id"],
                condition=Q(state=CertificateState.REVOKED),
                name="certificate_revoked_expiry",
            ),
            models.Index(
                fields=["not_after", "id"],
                condition=Q(state=CertificateState.ISSUED, predecessor__isnull=False),
                name="certificate_unconfirmed_expiry",
            ),
            models.Index(
                fields=["purpose", "not_after", "id"],
                condition=~Q(purpose=Purpose.DEVICE),
                name="certificate_of_the_portal",
            ),
            models.Index(fields=["key_type", "not_after", "id"], name="certificate_by_key_type"),
            BrinIndex(fields=["issued_at"], pages_per_range=32, name="certificate_issued"),
            # What a device stands on, and whether it has more than one, without a look at the rows.
            models.Index(
                fields=["device", "issued_at", "id"],
                condition=Q(state__in=LIVE_STATES),
                include=["not_after"],
                name="certificate_standing",
            ),
            # Of those that have one: the others would be written at each change of a state, for nothing.
            models.Index(fields=["successor"], condition=Q(successor__isnull=False), name="certificate_successor"),
            # For the few that are not valid yet. Nearly nothing to keep: most of the table is older than that.
            BrinIndex(fields=["not_before"], name="certificate_begin", autosummarize=True),
        ]

    def __str__(self) -> str:
        return f"{self.subject} ({self.serial[:8]}…)"

    def status_at(self, now: datetime) -> CertificateStatus:
        """Return what the certificate is at `now`. At most one query, none if it was read `with_issuer`."""
        if self.state == CertificateState.REVOKED:
            return CertificateStatus.REVOKED
        if self.state == CertificateState.SUPERSEDED:
            return CertificateStatus.SUPERSEDED
        if self.issuer_is_revoked:
            return CertificateStatus.ISSUER_REVOKED
        if self.not_after < now:
            return CertificateStatus.EXPIRED
        if self.not_before > now:
            return CertificateStatus.NOT_YET_VALID
        if self.state == CertificateState.ISSUED and self.predecessor_id is not None:
            return CertificateStatus.UNCONFIRMED
        if self.not_after < now + EXPIRING_SPAN:
            return CertificateStatus.EXPIRING
        return CertificateStatus.VALID

    @cached_property
    def issuer_is_revoked(self) -> bool:
        """Whether its issuer or any authority above that was revoked. One query, none if it was read `with_issuer`."""
        return Authority.objects.revoked().filter(pk=self.authority_id).exists()

    def is_revocable(self, now: datetime) -> bool:
        """Return whether revoking it would change what a verifier says.

        A superseded one is accepted from whoever holds its key. One that has ended is refused by its date, and has no
        place in a CRL any more (RFC 5280 3.3).
        """
        return self.state != CertificateState.REVOKED and self.not_after >= now

    @property
    def reason_can_be_raised(self) -> bool:
        """Whether it was revoked for less than a compromise, which may become known later."""
        return self.state == CertificateState.REVOKED and self.revocation_reason not in COMPROMISES

    @cached_property
    def x509(self) -> x509.Certificate:
        """The certificate, parsed once an instance."""
        return x509.load_der_x509_certificate(bytes(self.der))
