"""Jobs of the workers. Each can be lost, repeated or run beside itself; what is due is found in rows and files."""

from collections.abc import Iterable
from datetime import datetime

import structlog
from django.utils import timezone

from inventory.alerts.conditions import Concern, report
from inventory.issuing.keys.software import KeyUnavailable
from inventory.models import AlertKind, Authority
from revocation import queueing, signers
from revocation.freshness import Freshness, freshness
from revocation.publishing import is_due, publish_if_due
from revocation.scopes import Scope

log = structlog.get_logger(__name__)


def publish_crl(authority_slug: str, shard: int | None, queue: str = queueing.URGENT) -> None:
    """Publish one CRL if it is due."""
    queueing.begin_publication(Scope(authority_slug, shard), queue)
    authority = Authority.objects.select_related("certificate").get(slug=authority_slug)
    row = publish_if_due(authority, shard, timezone.now())
    if row:
        log.info("crl_published", crl=str(Scope(authority_slug, shard)), number=row.number, entries=row.entries)


def sweep_crls() -> None:
    """Enqueue every publication that is due: on schedule, for revocations whose job was lost, after a crash."""
    now = timezone.now()
    for line in freshness(now):
        if _due(line, now):
            queue = queueing.URGENT if line.waiting_since else queueing.SCHEDULED
            queueing.enqueue_publication(line.scope, queue)


def _due(line: Freshness, now: datetime) -> bool:
    return is_due(
        line.scope,
        waiting=line.waiting_since is not None,
        latest_number=line.number,
        latest_published_at=line.published_at,
        now=now,
    )


def report_late_crls() -> None:
    """Raise an alert for each late or expired CRL, and resolve the alerts of the others."""
    now = timezone.now()
    report([AlertKind.CRL], concerns(freshness(now), now), now)


_LATE, _ENDED = 1, 0


def concerns(crls: Iterable[Freshness], now: datetime) -> list[Concern]:
    """Return the late and expired CRLs as conditions for alerts."""
    return [
        Concern(AlertKind.CRL, str(crl.scope), crl.next_update or now, _ENDED if crl.expired(now) else _LATE)
        for crl in crls
        if crl.late(now) or crl.expired(now)
    ]


def renew_ocsp_signers() -> None:
    """Renew OCSP signers that are missing or past half of their validity."""
    now = timezone.now()
    for authority in Authority.objects.own().select_related("certificate").filter(certificate__not_after__gt=now):
        try:
            signer = signers.renew_if_due(authority, now)
        except KeyUnavailable as error:
            # The other authorities still get theirs; the doctor and the status plane report this one.
            log.error("ocsp_signer_not_renewed", authority=authority.slug, why=str(error))
            continue
        if signer:
            log.info("ocsp_signer_renewed", authority=authority.slug, ends=signer.certificate.not_after.isoformat())
