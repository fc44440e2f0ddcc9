"""Cases of revoked devices: one person says what was found and proposes a verdict, another agrees or sends it back.

Until a case is closed as cleared, the gate gives the device no certificate. Whoever revoked may open the case; nobody
closes a case that he or she opened, which the database refuses as well.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext as _

from inventory.audit.record import Actor, event, record
from inventory.models import AuditAction, Case, Certificate, CertificateState, Device, DeviceStatus
from inventory.models.case import CaseOutcome, Verdict

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True)
class CannotDecide:
    """Why a case is not opened or closed, for people."""

    text: "StrOrPromise"


def newest(device: Device) -> Certificate | None:
    """Return the certificate of a device that was issued last, without its DER. One query."""
    return device.certificates.defer("der").order_by("-issued_at", "-pk").first()


def open_case(device: Device, *, finding: str, proposal: Verdict, now: datetime, actor: Actor) -> Case | CannotDecide:
    """Open the case of a device whose newest certificate is revoked."""
    with transaction.atomic():
        Device.objects.select_for_update(no_key=True).get(pk=device.pk)
        certificate = newest(device)
        if certificate is None or certificate.state != CertificateState.REVOKED:
            return CannotDecide(_("The last certificate of the device is not revoked: there is nothing to clear."))
        known = Case.objects.filter(certificate=certificate)
        if known.waiting().exists():
            return CannotDecide(_("A case of this revocation is open; it waits for a second person."))
        if known.cleared().exists():
            return CannotDecide(_("The device was cleared of this revocation; it enrols with a one-time secret."))
        case = Case.objects.create(
            device=device,
            certificate=certificate,
            finding=finding[:1000],
            proposal=proposal,
            opened_at=now,
            opened_by=actor.person,
        )
        _tell(case, AuditAction.CASE_OPENED, {"finding": case.finding, "proposal": proposal.value}, now, actor)
        return case


def close_case(pk: int, *, agrees: bool, note: str, now: datetime, actor: Actor) -> Case | CannotDecide:
    """Decide on a proposal: it becomes the outcome, or the case is sent back and another may be opened.

    A device that is retired goes out of service in the same transaction.
    """
    with transaction.atomic():
        case = Case.objects.select_for_update(of=("self",), no_key=True).select_related("device").get(pk=pk)
        if case.closed_at is not None:
            return CannotDecide(_("The case was closed by %(who)s.") % {"who": case.closed_by})
        if case.opened_by == actor.person:
            return CannotDecide(_("You opened this case; a second person decides on it."))
        case.outcome = CaseOutcome(case.proposal) if agrees else CaseOutcome.DISMISSED
        case.closed_at, case.closed_by, case.note = now, actor.person, note[:1000]
        case.save(update_fields=["outcome", "closed_at", "closed_by", "note"])
        if case.outcome == CaseOutcome.RETIRED:
            case.device.status = DeviceStatus.RETIRED
            case.device.save(update_fields=["status"])
        details = {"outcome": str(case.outcome), "opened_by": case.opened_by, "note": case.note}
        _tell(case, AuditAction.CASE_CLOSED, details, now, actor)
        return case


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
