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
    """What the second person made of a proposed verdict."""

    CLEARED = Verdict.CLEARED.value, _("cleared")
    RETIRED = Verdict.RETIRED.value, _("retired")
    DISMISSED = "dismissed", _("sent back")


class CaseQuerySet(ScopedQuerySet["Case"]):
    fleet_path = "device__fleet_id"

    def waiting(self) -> "CaseQuerySet":
        """Those on which a second person has to decide."""
        return self.filter(closed_at=None)

    def cleared(self) -> "CaseQuerySet":
        return self.filter(outcome=CaseOutcome.CLEARED)


class Case(models.Model):
    """What one person found out about a device that a revocation cut off, and what another decided."""

    device = models.ForeignKey("inventory.Device", models.PROTECT, related_name="cases", verbose_name=_("device"))
    # The revocation that it is about: one that comes later needs a case of its own.
    certificate = models.ForeignKey(
        "inventory.Certificate", models.PROTECT, related_name="cases", verbose_name=_("revoked certificate")
    )
    finding = models.CharField(_("finding"), max_length=1000)
    proposal = models.CharField(_("proposal"), max_length=16, choices=Verdict.choices)
    opened_at = models.DateTimeField(_("opened"))
    opened_by = models.CharField(_("opened by"), max_length=150)
    closed_at = models.DateTimeField(_("closed"), null=True)
    closed_by = models.CharField(_("closed by"), max_length=150, blank=True)
    outcome = models.CharField(_("outcome"), max_length=16, choices=CaseOutcome.choices, blank=True)
    note = models.CharField(_("note"), max_length=1000, blank=True)

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
                condition=Q(closed_at=None, closed_by="", outcome="")
                | Q(closed_at__isnull=False) & ~Q(closed_by="") & Q(outcome__in=CaseOutcome.values),
                name="case_closed_by_somebody_with_an_outcome",
            ),
            models.CheckConstraint(condition=~Q(closed_by=F("opened_by")), name="case_closed_by_a_second_person"),
            models.CheckConstraint(
                condition=Q(proposal__in=Verdict.values)
                & (Q(outcome__in=["", CaseOutcome.DISMISSED]) | Q(outcome=F("proposal"))),
                name="case_outcome_was_proposed",
            ),
        ]
        indexes = [
            models.Index(fields=["-opened_at", "-id"], name="case_latest"),
            models.Index(fields=["opened_at"], condition=Q(closed_at=None), name="case_waiting"),
        ]

    def __str__(self) -> str:
        return f"{self.device}: {self.get_proposal_display()}"
