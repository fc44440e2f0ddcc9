"""Investigations: a revoked device gets no certificate before two people have looked at it."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.models.access import ScopedQuerySet


class Verdict(models.TextChoices):
    """What becomes of a device after an investigation."""

    CLEARED = "cleared", _("it may enrol again")
    RETIRED = "retired", _("it is retired for good")


class CaseOutcome(models.TextChoices):
    """What became of a proposed verdict."""

    CLEARED = Verdict.CLEARED.value, _("cleared")
    RETIRED = Verdict.RETIRED.value, _("retired")
    DISMISSED = "dismissed", _("sent back")
    WITHDRAWN = "withdrawn", _("withdrawn")
    LAPSED = "lapsed", _("not decided in time")


_WITHOUT_VERDICT = [CaseOutcome.DISMISSED, CaseOutcome.WITHDRAWN, CaseOutcome.LAPSED]


class CaseQuerySet(ScopedQuerySet["Case"]):
    fleet_path = "device__fleet_id"

    def waiting(self) -> "CaseQuerySet":
        """Cases that wait for the decision of a second person."""
        return self.filter(closed_at=None)

    def decidable_by(self, person: int) -> "CaseQuerySet":
        """Waiting cases that another person opened, by whatever account of his or hers."""
        own = Q(approval__proposer=person) | Q(approval__proposer__owner=person)
        return self.waiting().exclude(own)

    def cleared(self) -> "CaseQuerySet":
        return self.filter(outcome=CaseOutcome.CLEARED)


class Case(models.Model):
    """A device that a revocation cut off, and the verdict on it.

    Who found what, who decided and why is in the approval.
    """

    device = models.ForeignKey("inventory.Device", models.PROTECT, related_name="cases", verbose_name=_("device"))
    # The revocation that it is about: one that comes later needs a case of its own.
    certificate = models.ForeignKey(
        "inventory.Certificate", models.PROTECT, related_name="cases", verbose_name=_("revoked certificate")
    )
    proposal = models.CharField(_("proposal"), max_length=16, choices=Verdict.choices)
    approval = models.OneToOneField(
        "inventory.Proposal", models.PROTECT, related_name="case", verbose_name=_("approval")
    )
    opened_at = models.DateTimeField(_("opened"))
    closed_at = models.DateTimeField(_("closed"), null=True)
    outcome = models.CharField(_("outcome"), max_length=16, choices=CaseOutcome.choices, blank=True)

    objects = CaseQuerySet.as_manager()

    class Meta:
        verbose_name = _("case")
        verbose_name_plural = _("cases")
        permissions = [("decide_case", "Can decide on the cases of others")]
        constraints = [
            models.UniqueConstraint(
                fields=["certificate"], condition=Q(closed_at=None), name="case_one_open_for_a_revocation"
            ),
            models.CheckConstraint(
                condition=Q(closed_at=None, outcome="") | Q(closed_at__isnull=False, outcome__in=CaseOutcome.values),
                name="case_closed_with_an_outcome",
            ),
            models.CheckConstraint(
                condition=Q(proposal__in=Verdict.values)
                & (Q(outcome__in=["", *_WITHOUT_VERDICT]) | Q(outcome=F("proposal"))),
                name="case_outcome_was_proposed",
            ),
        ]
        indexes = [
            models.Index(fields=["-opened_at", "-id"], name="case_latest"),
            models.Index(fields=["opened_at"], condition=Q(closed_at=None), name="case_waiting"),
        ]

    def __str__(self) -> str:
        return f"{self.device}: {self.get_proposal_display()}"
