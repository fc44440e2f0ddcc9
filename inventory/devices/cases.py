"""Cases of revoked devices: one person says what was found and proposes a verdict, another agrees or sends it back.

Until a case is closed as cleared, the gate gives the device no certificate. Whoever revoked may open the case; nobody
closes a case that he or she opened, which the database refuses as well.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from inventory.approvals.deciding import Refused, Why, decide, propose
from inventory.approvals.kinds import Overtaken, Payload, Rules
from inventory.audit.record import Actor, event, record
from inventory.models import (
    AuditAction,
    Case,
    Certificate,
    CertificateState,
    Device,
    DeviceStatus,
    Proposal,
    ProposalKind,
    ProposalState,
)
from inventory.models.case import CaseOutcome, Verdict

# An investigation waits for people who travel; after this the device's story is told anew.
_LIFETIME = timedelta(days=30)
_WITHOUT_VERDICT = {
    ProposalState.REJECTED: CaseOutcome.DISMISSED,
    ProposalState.WITHDRAWN: CaseOutcome.WITHDRAWN,
    ProposalState.EXPIRED: CaseOutcome.LAPSED,
}


def newest(device: Device) -> Certificate | None:
    """Return the certificate of a device that was issued last, without its DER. One query."""
    return device.certificates.defer("der").order_by("-issued_at", "-pk").first()


def open_case(device: Device, *, finding: str, proposal: Verdict, now: datetime, actor: Actor) -> Case | Refused:
    """Open the case of a device whose newest certificate is revoked."""
    with transaction.atomic():
        Device.objects.select_for_update(no_key=True).get(pk=device.pk)
        certificate = newest(device)
        if certificate is None or certificate.state != CertificateState.REVOKED:
            return Refused(
                Why.OVERTAKEN, _("The last certificate of the device is not revoked: there is nothing to clear.")
            )
        if Case.objects.filter(certificate=certificate).cleared().exists():
            return Refused(
                Why.OVERTAKEN, _("The device was cleared of this revocation; it enrols with a one-time secret.")
            )
        approval = propose(
            ProposalKind.CASE_VERDICT,
            {"certificate": certificate.pk, "device": device.pk, "serial": device.serial, "verdict": proposal.value},
            subject=f"certificate:{certificate.pk}",
            title=f"{device.serial}: {proposal.label}",
            reason=finding,
            now=now,
            actor=actor,
            fleet=device.fleet_id,
        )
        if isinstance(approval, Refused):
            return approval
        case = Case.objects.create(
            device=device, certificate=certificate, proposal=proposal, approval=approval, opened_at=now
        )
        _tell(case, AuditAction.CASE_OPENED, {"finding": approval.reason, "proposal": proposal.value}, now, actor)
        return case


def close_case(pk: int, *, agrees: bool, note: str, now: datetime, actor: Actor) -> Case | Refused:
    """Decide on a proposal: it becomes the outcome, or the case is sent back and another may be opened.

    A device that is retired goes out of service in the same transaction.
    """
    approval_pk = Case.objects.values_list("approval_id", flat=True).get(pk=pk)
    decided = decide(approval_pk, approves=agrees, note=note, now=now, actor=actor)
    return decided if isinstance(decided, Refused) else Case.objects.get(pk=pk)


def _carry_out(payload: Payload, now: datetime, actor: Actor) -> None:
    """Make the verdict of a payload the outcome of its case."""
    case = _waiting(approval__state=ProposalState.APPROVED, certificate_id=payload["certificate"]).first()
    verdict = Verdict(payload["verdict"])
    if case is None or case.device_id != payload["device"] or case.proposal != verdict:
        raise Overtaken(_("The case is not the one that was proposed."))
    if verdict == Verdict.RETIRED:
        case.device.status = DeviceStatus.RETIRED
        case.device.save(update_fields=["status"])
    _close(case, CaseOutcome(verdict), now, actor)


def _ended(proposal: Proposal, now: datetime, actor: Actor) -> None:
    case = _waiting(approval=proposal).get()
    _close(case, _WITHOUT_VERDICT[ProposalState(proposal.state)], now, actor)


RULES = Rules("inventory.add_case", "inventory.decide_case", _LIFETIME, _carry_out, _ended)


def _waiting(**which: object) -> "QuerySet[Case]":
    locked = Case.objects.waiting().select_for_update(of=("self",), no_key=True)
    return (
        locked.select_related("device", "certificate", "approval__proposer").defer("certificate__der").filter(**which)
    )


def _close(case: Case, outcome: CaseOutcome, now: datetime, actor: Actor) -> None:
    case.outcome, case.closed_at = outcome, now
    case.save(update_fields=["outcome", "closed_at"])
    opened_by, note = case.approval.proposer.get_username(), case.approval.note
    _tell(case, AuditAction.CASE_CLOSED, {"outcome": str(outcome), "opened_by": opened_by, "note": note}, now, actor)


def is_cleared(certificate_pk: int) -> bool:
    """Return whether the device of a revoked certificate was cleared of that revocation. One query."""
    return Case.objects.cleared().filter(certificate_id=certificate_pk).exists()


def _tell(case: Case, action: AuditAction, details: dict[str, str], now: datetime, actor: Actor) -> None:
    told = event(
        action,
        now=now,
        actor=actor,
        object_name=case.device.serial,
        device=case.device,
        certificate=case.certificate,
        details={key: value for key, value in details.items() if value},
    )
    record([told])
