"""What verifiers and devices need: CRLs, authorities that may issue, OCSP signers, the portal's own certificates."""

from collections.abc import Iterator
from datetime import datetime

from django.db import connection

from certportal.health.findings import Finding
from inventory.alerts.infrastructure import certificates
from inventory.models import Authority
from inventory.models.authority import ABOVE
from renewal import registration_authorities
from revocation import signers
from revocation.freshness import freshness

# An authority with one above it that was revoked has ended too: no verifier finds a path.
_FLEETS_WITHOUT_AUTHORITY = f"""
    WITH RECURSIVE {ABOVE.format(start="a.id IN (SELECT authority_id FROM inventory_fleet)")}
    SELECT fleet.slug, own.slug, string_agg(higher.slug, ', ') FILTER (WHERE certificate.state = 'revoked'),
           min(certificate.not_after) <= %(now)s
    FROM inventory_fleet fleet
    JOIN inventory_authority own ON own.id = fleet.authority_id
    JOIN above ON above.authority_id = own.id
    JOIN inventory_authority higher ON higher.id = above.id
    LEFT JOIN inventory_certificate certificate ON certificate.id = above.certificate_id
    GROUP BY fleet.slug, own.slug ORDER BY 1"""  # noqa: S608 - of constants


def crls(now: datetime) -> Iterator[Finding]:
    for line in freshness(now):
        fact = f"number {line.number}, nextUpdate {line.next_update:%Y-%m-%d %H:%M}" if line.next_update else "none"
        problem = ""
        if line.number is None:
            problem = f"{line.scope} was never published; run manage.py publish_crls."
        elif line.expired(now):
            problem = f"{line.scope} is past its nextUpdate: verifiers refuse every device. Run manage.py publish_crls."
        elif line.late(now):
            problem = f"{line.scope} is late; look at the log of the workers."
        yield Finding(f"CRL {line.scope}", fact, problem)


def issuing(now: datetime) -> Iterator[Finding]:
    """The authority that signs for a fleet must stand: neither it nor one above it revoked or at its end."""
    with connection.cursor() as cursor:
        cursor.execute(_FLEETS_WITHOUT_AUTHORITY, {"now": now})
        found = cursor.fetchall()
    for fleet, authority, revoked, ended in found:
        problem = ""
        if revoked:
            problem = f"{revoked} was revoked: no device of fleet {fleet} gets a certificate. Give it a new authority."
        elif ended:
            problem = f"{authority}, or one above it, has ended: no device of fleet {fleet} gets a certificate."
        yield Finding(f"issuing for fleet {fleet}", f"by {authority}", problem)


def ocsp_signers(now: datetime) -> Iterator[Finding]:
    """Each authority of ours needs a signer with its key, or OCSP answers tryLater to every verifier."""
    own = Authority.objects.own().filter(certificate__not_after__gt=now).order_by("slug")
    for pk, slug in own.values_list("pk", "slug"):
        check = f"OCSP signer of {slug}"
        try:
            signer = signers.load(pk, now)
        except signers.SignerUnavailable as error:
            yield Finding(check, "none", f"OCSP answers tryLater for {slug}: {error}")
        else:
            yield Finding(check, f"{signer.certificate.not_valid_after_utc:%Y-%m-%d}")


def scep_registration_authorities(now: datetime) -> Iterator[Finding]:
    """Each authority that signs for a fleet needs one with its key, or no device of the fleet is served over SCEP."""
    signing = Authority.objects.own().filter(fleets__isnull=False, certificate__not_after__gt=now)
    usable = signing.exclude(pk__in=Authority.objects.revoked()).order_by("slug").distinct()
    for pk, slug in usable.values_list("pk", "slug"):
        check = f"SCEP registration authority of {slug}"
        try:
            latest = registration_authorities.load(pk, now)[0]
        except registration_authorities.NobodyAnswers as error:
            yield Finding(check, "none", f"SCEP answers 503 for {slug}: {error}")
        else:
            yield Finding(check, f"{latest.certificate.not_valid_after_utc:%Y-%m-%d}")


def own_certificates(now: datetime) -> Iterator[Finding]:
    """The latest certificate of each purpose that the portal needs for itself must not be near its end."""
    for own in certificates():
        certificate = own.certificate
        problem = ""
        if own.reached(now) is not None:
            problem = f"{certificate.subject} ends on {certificate.not_after:%Y-%m-%d}; renew it."
        yield Finding(
            f"{certificate.get_purpose_display()} {certificate.subject}", f"{certificate.not_after:%Y-%m-%d}", problem
        )
