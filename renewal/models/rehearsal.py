"""Rehearsals: campaigns of a virtual fleet that somebody asked for before planning one of their own."""

from collections.abc import Sequence

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from inventory.models.access import ScopedQuerySet


class RehearsalState(models.TextChoices):
    WAITING = "waiting", _("waiting for a worker")
    RUNNING = "running", _("running")
    FINISHED = "finished", _("finished")
    FAILED = "failed", _("failed")


UNFINISHED = (RehearsalState.WAITING, RehearsalState.RUNNING)


class RehearsalQuerySet(ScopedQuerySet["Rehearsal"]):
    def _belonging_to(self, ids: Sequence[int]) -> Q:
        """Those that were asked for by people of no other fleet: their ladder may be that of one of its campaigns."""
        return Q(fleets__contained_by=list(ids))


class Rehearsal(models.Model):
    """What was to be simulated, and what came of it."""

    # The ids of the fleets of who asked; null: all.
    fleets = ArrayField(models.BigIntegerField(), null=True)
    asked_by = models.CharField(_("asked by"), max_length=150)
    asked_at = models.DateTimeField(_("asked"))
    devices = models.PositiveIntegerField(_("meters"))
    seed = models.PositiveIntegerField(_("seed"))
    # As `Scenario.to_json` of the simulation writes it.
    scenario = models.JSONField(_("scenario"))
    state = models.CharField(_("state"), max_length=16, choices=RehearsalState.choices, default=RehearsalState.WAITING)
    # How often a worker has taken it up.
    attempts = models.PositiveSmallIntegerField(default=0)
    progress = models.CharField(_("progress"), max_length=200, blank=True)
    worked_at = models.DateTimeField(_("last progress"))
    finished_at = models.DateTimeField(_("finished"), null=True)
    problem = models.TextField(_("why it failed"), blank=True)
    # As `simulate_fleet --json` prints it, without the model; its seconds know how long it took to prepare, too.
    result = models.JSONField(_("result"), null=True)

    objects = RehearsalQuerySet.as_manager()

    class Meta:
        verbose_name = _("what-if run")
        verbose_name_plural = _("what-if runs")
        ordering = ["-id"]
        # Whoever plans campaigns may ask for one.
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=UNFINISHED, finished_at__isnull=True, result__isnull=True, problem="")
                | Q(state=RehearsalState.FINISHED, finished_at__isnull=False, result__isnull=False, problem="")
                | Q(state=RehearsalState.FAILED, finished_at__isnull=False, result__isnull=True) & ~Q(problem=""),
                name="rehearsal_state_fits_its_end",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)
