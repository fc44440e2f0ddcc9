"""Proposals: what one person wants done and another has to agree to."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.models.access import ScopedQuerySet


class ProposalKind(models.TextChoices):
    """Closed vocabulary of what two people decide, `subject:thing:what would happen`."""

    CASE_VERDICT = "device:case:verdict", _("verdict on a revoked device")
    CAMPAIGN_START = "campaign:run:start", _("start of a large campaign")


class ProposalState(models.TextChoices):
    WAITING = "waiting", _("waits for a second person")
    APPROVED = "approved", _("approved and carried out")
    REJECTED = "rejected", _("sent back")
    WITHDRAWN = "withdrawn", _("withdrawn")
    EXPIRED = "expired", _("expired")


# How a proposal ends by the word of a second person, and how without one.
DECIDED = (ProposalState.APPROVED, ProposalState.REJECTED)
UNDECIDED = (ProposalState.WITHDRAWN, ProposalState.EXPIRED)


class ProposalQuerySet(ScopedQuerySet["Proposal"]):
    fleet_path = "fleet_id"

    def waiting(self) -> "ProposalQuerySet":
        return self.filter(state=ProposalState.WAITING)

    def overdue(self, now: datetime) -> "ProposalQuerySet":
        """Those that wait still and can no longer be decided on."""
        return self.waiting().filter(expires_at__lte=now)


class Proposal(models.Model):
    """One act, described whole, and what became of it.

    Everything but the state and the decision is frozen by a trigger; `sha256` shows when it was changed in spite of it.
    """

    kind = models.CharField(_("kind"), max_length=64, choices=ProposalKind.choices)
    # What it is about, for programs: of one kind and subject one proposal waits at a time.
    subject = models.CharField(max_length=100)
    title = models.CharField(_("proposal"), max_length=300)
    # That of what it is about; None: it is about the portal itself.
    fleet = models.ForeignKey("inventory.Fleet", models.PROTECT, related_name="+", null=True, verbose_name=_("fleet"))
    # JSON with sorted keys and without blanks. Text, since jsonb would write its numbers otherwise than they were.
    payload = models.TextField()
    reason = models.CharField(_("reason"), max_length=1000)
    proposer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("proposed by")
    )
    proposed_at = models.DateTimeField(_("proposed"))
    expires_at = models.DateTimeField(_("expires"))
    sha256 = models.BinaryField(max_length=32)

    state = models.CharField(
        _("state"), max_length=16, choices=ProposalState.choices, default=ProposalState.WAITING.value
    )
    decider = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, verbose_name=_("decided by")
    )
    ended_at = models.DateTimeField(_("ended"), null=True)
    note = models.CharField(_("note"), max_length=1000, blank=True)

    objects = ProposalQuerySet.as_manager()

    class Meta:
        verbose_name = _("proposal")
        verbose_name_plural = _("proposals")
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=ProposalKind.values), name="proposal_kind_known"),
            models.CheckConstraint(condition=Q(expires_at__gt=F("proposed_at")), name="proposal_expires_later"),
            models.CheckConstraint(condition=~Q(decider=F("proposer")), name="proposal_decided_by_a_second_person"),
            models.CheckConstraint(
                condition=Q(state=ProposalState.WAITING, decider=None, ended_at=None, note="")
                | Q(state__in=DECIDED, decider__isnull=False, ended_at__lt=F("expires_at"))
                | Q(state=ProposalState.WITHDRAWN, decider=None, ended_at__isnull=False)
                | Q(state=ProposalState.EXPIRED, decider=None, ended_at__gte=F("expires_at")),
                name="proposal_state_fits_its_end",
            ),
            models.UniqueConstraint(
                fields=["kind", "subject"],
                condition=Q(state=ProposalState.WAITING),
                name="proposal_one_waits_for_a_subject",
            ),
        ]
        indexes = [
            models.Index(fields=["-proposed_at", "-id"], name="proposal_latest"),
            models.Index(fields=["expires_at"], condition=Q(state=ProposalState.WAITING), name="proposal_waiting"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def content(self) -> dict[str, Any]:
        """The payload, read."""
        read: dict[str, Any] = json.loads(self.payload)
        return read

    def digest(self) -> bytes:
        """Return the SHA-256 of all that is frozen, as it stands in this row."""
        frozen = {
            "kind": self.kind,
            "subject": self.subject,
            "title": self.title,
            "fleet": self.fleet_id,
            "payload": self.payload,
            "reason": self.reason,
            "proposer": self.proposer_id,
            "proposed_at": self.proposed_at.astimezone(UTC).isoformat(),
            "expires_at": self.expires_at.astimezone(UTC).isoformat(),
        }
        return hashlib.sha256(canonical(frozen).encode()).digest()

    @property
    def is_as_proposed(self) -> bool:
        return bytes(self.sha256) == self.digest()


def canonical(content: dict[str, Any]) -> str:
    """Return canonical JSON: equal content gives equal text."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
