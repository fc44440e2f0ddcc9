"""The story of one device: what happened to it, by whom and why, and what happens next."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils.translation import gettext as _

from inventory.audit.summaries import told
from inventory.devices.current_certificate import current
from inventory.models import AuditAction, AuditEvent, Case, Certificate, Device, DeviceStatus
from inventory.models.audit import ActorKind
from inventory.models.case import CaseOutcome
from inventory.models.certificate import LIVE_STATES, CertificateStatus

# The log of a device is short; a device that is refused in a loop must not make its page long.
MOST_EVENTS = 200


@dataclass(frozen=True)
class Moment:
    """One entry on the line of time. `tone` is one of good, attention, late, stopped, neutral."""

    at: datetime
    title: str
    tone: str = "neutral"
    who: str = ""
    why: str = ""
    certificate_id: int | None = None
    serial: str = ""


@dataclass(frozen=True)
class Outlook:
    """What happens next, as one sentence with a place for `at`, named `when`, and for each of `words`.

    `at` is None when the sentence names no moment.
    """

    text: str
    tone: str
    at: datetime | None = None
    words: Mapping[str, str] = field(default_factory=dict)


_TONES = {
    AuditAction.CERTIFICATE_ENROLLED: "good",
    AuditAction.CERTIFICATE_RENEWED: "good",
    AuditAction.CERTIFICATE_CONFIRMED: "good",
    AuditAction.CERTIFICATE_REVOKED: "stopped",
    AuditAction.REVOCATION_RAISED: "stopped",
    AuditAction.CASE_OPENED: "attention",
    AuditAction.CASE_CLOSED: "attention",
    AuditAction.ENROLMENT_REFUSED: "late",
    AuditAction.RENEWAL_REFUSED: "late",
}
# Work orders tell of themselves, with what came of them.
_TOLD_BY_ROWS = frozenset({AuditAction.WORK_ORDER_OPENED, AuditAction.WORK_ORDER_CLOSED})
# The link beside an entry of the story says these already.
_SHOWN_BY_LINK = frozenset({"serial", "issuer"})
_WITHOUT_FUTURE = frozenset({CertificateStatus.REVOKED, CertificateStatus.SUPERSEDED, CertificateStatus.ISSUER_REVOKED})
_ISSUED = {AuditAction.CERTIFICATE_ENROLLED.value, AuditAction.CERTIFICATE_RENEWED.value}


def past(device: Device, certificates: Iterable[Certificate]) -> list[Moment]:
    """Return what the audit log tells of a device, and what its certificates tell beyond that. One query."""
    events = list(
        AuditEvent.objects.filter(device=device)
        .exclude(action__in=_TOLD_BY_ROWS)
        .select_related("certificate")
        .defer("certificate__der")
        .order_by("-at", "-id")[:MOST_EVENTS]
    )
    logged = {(event.certificate_id, event.action) for event in events}
    moments = [_of_event(event) for event in events]
    for certificate in certificates:
        moments += _unlogged(certificate, logged)
    if device.last_seen_at is not None:
        moments.append(Moment(device.last_seen_at, _("last seen"), who=device.serial))
    return moments


def future(certificate: Certificate | None, now: datetime) -> list[Moment]:
    """Return the coming dates of the current certificate."""
    if certificate is None or certificate.status_at(now) in _WITHOUT_FUTURE:
        return []
    moments = []
    if certificate.profile is not None:
        moments.append(Moment(certificate.not_after - certificate.profile.renewal_window, _("renewal opens")))
    moments.append(Moment(certificate.not_after, _("certificate ends"), "late"))
    return [moment for moment in moments if moment.at > now]


def outlook(device: Device, certificates: Sequence[Certificate], now: datetime) -> Outlook:
    """Return what happens next to a device with `certificates`, as far as the inventory knows. At most one query."""
    if device.status != DeviceStatus.IN_SERVICE:
        return Outlook(_("Not in service: it is given no certificate."), "stopped")
    certificate = current(certificates, now)
    if certificate is None:
        return Outlook(_("It has no certificate yet: it enrols with a one-time secret."), "neutral")
    status = certificate.status_at(now)
    if status == CertificateStatus.REVOKED:
        return _after_revocation(certificate)
    if status == CertificateStatus.SUPERSEDED:
        return Outlook(_("Its last certificate was superseded and none is in use: enrol it anew."), "late")
    if status == CertificateStatus.ISSUER_REVOKED:
        text = _("The issuer of its certificate was revoked, or an authority above it: enrol it anew under another.")
        return Outlook(text, "stopped")
    if status == CertificateStatus.EXPIRED:
        text = _("Its certificate ended on %(when)s; it can no longer authenticate: enrol it anew.")
        return Outlook(text, "late", certificate.not_after)
    return _renewal(certificate, certificates, now)


def _after_revocation(certificate: Certificate) -> Outlook:
    """Say how the investigation of a revoked device stands. One query."""
    found = Case.objects.filter(certificate=certificate).select_related("approval__proposer", "approval__decider")
    case = found.order_by("-opened_at", "-pk").first()
    if case is not None and case.outcome == CaseOutcome.CLEARED:
        text = _("Cleared by %(who)s on %(when)s: it enrols anew with a one-time secret.")
        return Outlook(text, "attention", case.closed_at, {"who": str(case.approval.decider)})
    words = {"reason": str(certificate.get_revocation_reason_display())}
    if case is not None and case.closed_at is None:
        text = _("Revoked (%(reason)s) on %(when)s. %(who)s proposes: %(proposal)s. A second person decides.")
        words |= {"who": str(case.approval.proposer), "proposal": str(case.get_proposal_display())}
    else:
        text = _("Its certificate was revoked (%(reason)s) on %(when)s; it is given no other until a case clears it.")
    return Outlook(text, "stopped", certificate.revoked_at, words)


def _renewal(certificate: Certificate, certificates: Iterable[Certificate], now: datetime) -> Outlook:
    """Say how the renewal of a certificate that is accepted now stands."""
    if any(other.predecessor_id == certificate.pk and other.state in LIVE_STATES for other in certificates):
        text = _("Renewed, not yet seen with the new certificate; the old one stays valid until %(when)s.")
        return Outlook(text, "attention", certificate.not_after)
    if certificate.status_at(now) == CertificateStatus.UNCONFIRMED:
        text = _(
            "Renewed, not yet seen with the new certificate, and the old one has ended; the new one ends on %(when)s."
        )
        return Outlook(text, "attention", certificate.not_after)
    if certificate.profile is None:
        return Outlook(_("Its certificate ends on %(when)s."), "attention", certificate.not_after)
    opens = certificate.not_after - certificate.profile.renewal_window
    if opens > now:
        return Outlook(_("Nothing to do; renewal opens on %(when)s."), "good", opens)
    return Outlook(_("It may renew now; its certificate ends on %(when)s."), "attention", certificate.not_after)


def _of_event(event: AuditEvent) -> Moment:
    who = event.actor if event.actor_kind != ActorKind.SYSTEM else _("the portal")
    return Moment(
        event.at,
        str(event.get_action_display()),
        _TONES.get(AuditAction(event.action), "neutral"),
        f"{who} ({event.source_address})" if event.source_address else who,
        told(event.details, without=_SHOWN_BY_LINK),
        event.certificate_id,
        event.certificate.serial if event.certificate else "",
    )


def _unlogged(certificate: Certificate, logged: set[tuple[int | None, str]]) -> list[Moment]:
    """Return the dates of a certificate that came without events, by import."""
    pk, serial = certificate.pk, certificate.serial
    moments = []
    if not any((pk, action) in logged for action in _ISSUED):
        title = _("renewal issued") if certificate.predecessor_id else _("certificate issued")
        moments.append(Moment(certificate.issued_at, title, "good", certificate_id=pk, serial=serial))
    if certificate.activated_at and (pk, AuditAction.CERTIFICATE_CONFIRMED.value) not in logged:
        moments.append(Moment(certificate.activated_at, _("first used"), "good", certificate_id=pk, serial=serial))
    if certificate.revoked_at and (pk, AuditAction.CERTIFICATE_REVOKED.value) not in logged:
        why = str(certificate.get_revocation_reason_display())
        moments.append(
            Moment(certificate.revoked_at, _("revoked"), "stopped", why=why, certificate_id=pk, serial=serial)
        )
    return moments
