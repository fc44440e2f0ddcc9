"""Work orders: devices that answered on no channel, and what became of the visit."""

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import DateTimeField, F, OuterRef, Q, Subquery
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from inventory.formats import device_fields
from inventory.models import Certificate, CertificateState
from inventory.models.access import ScopedQuerySet
from renewal.models.team import Team

LONGEST_NOTE = 500


class Outcome(models.TextChoices):
    """Why an order is closed. The first two come about by themselves, the others people say."""

    RENEWED = "renewed", _("renewed by itself")
    WITHDRAWN = "withdrawn", _("no longer needed")
    RENEWED_ON_SITE = "renewed_on_site", _("renewed on site")
    REPLACED = "replaced", _("replaced")
    DEAD_ZONE = "dead_zone", _("dead zone")
    DECOMMISSIONED = "decommissioned", _("decommissioned")


BY_HAND = (Outcome.RENEWED_ON_SITE, Outcome.REPLACED, Outcome.DEAD_ZONE, Outcome.DECOMMISSIONED)
# As fields offer them.
FINDINGS = [(outcome.value, outcome.label) for outcome in BY_HAND]


class WorkOrderQuerySet(ScopedQuerySet["WorkOrder"]):
    fleet_path = "device__fleet_id"

    def visible_to(self, user: Any) -> Self:
        """Of the person's fleets; only those of his or her teams, unless a permission opens those of all teams."""
        seen = super().visible_to(user)
        if user is None or user.has_perm("renewal.view_orders_of_all_teams"):
            return seen
        return seen.filter(team__in=Team.objects.filter(members=user.pk))

    def open(self) -> Self:
        return self.filter(closed_at=None)

    def with_renewal(self) -> Self:
        """Annotate `renewed_at`, when a newer certificate was used first, and `fetched_at`, when one was issued.

        Of the newest certificate of the device after the one that the order is about.
        """
        issued_at, pk = OuterRef("target__certificate__issued_at"), OuterRef("target__certificate")
        later = Q(issued_at__gt=issued_at) | Q(issued_at=issued_at, pk__gt=pk)
        newer = Certificate.objects.filter(later, device=OuterRef("device")).exclude(state=CertificateState.REVOKED)
        newer = newer.order_by("-issued_at", "-id")
        used = newer.filter(activated_at__isnull=False)
        return self.annotate(
            renewed_at=Subquery(used.values("activated_at")[:1], output_field=DateTimeField(null=True)),
            fetched_at=Subquery(newer.values("issued_at")[:1], output_field=DateTimeField(null=True)),
        )

    def with_facts(self) -> Self:
        """Read along what pages and files show of an order."""
        of_device = ("device__fleet", "device__site", "device__presence", "device__note")
        return self.with_renewal().select_related(*of_device, "target__campaign", "team", "assigned_to")


class WorkOrder(models.Model):
    """The order to visit one device. A target has at most one, however it ended: nothing opens a second by itself."""

    target = models.OneToOneField("renewal.Target", models.CASCADE, related_name="work_order", verbose_name=_("target"))
    device = models.ForeignKey("inventory.Device", models.PROTECT, related_name="work_orders", verbose_name=_("device"))
    opened_at = models.DateTimeField(_("opened"))
    # When the certificate ends.
    due_at = models.DateTimeField(_("due"))
    # Until then the device may come back by itself, and the team has time enough still.
    go_from = models.DateTimeField(_("go from"), db_default=Now())
    team = models.ForeignKey(
        Team, models.PROTECT, related_name="work_orders", null=True, verbose_name=_("team"), db_index=False
    )
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="work_orders", null=True, verbose_name=_("assigned to")
    )
    assigned_at = models.DateTimeField(_("assigned"), null=True)
    closed_at = models.DateTimeField(_("closed"), null=True)
    closed_by = models.CharField(_("closed by"), max_length=150, blank=True)
    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome.choices, blank=True)
    note = models.CharField(_("note"), max_length=LONGEST_NOTE, blank=True)
    replaced_by = models.CharField(
        _("replaced by"), max_length=device_fields.LONGEST_SERIAL, blank=True, help_text=_("Serial number.")
    )
    # Made by who closes it: sent twice, as from a phone that lost its network, it closes once.
    close_key = models.UUIDField(null=True, editable=False)

    objects = WorkOrderQuerySet.as_manager()

    class Meta:
        verbose_name = _("work order")
        verbose_name_plural = _("work orders")
        permissions = [
            ("view_orders_of_all_teams", "Can view the work orders of every team"),
            ("assign_workorder", "Can assign work orders to teams"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True, outcome="") | Q(closed_at__isnull=False) & ~Q(outcome=""),
                name="workorder_closed_with_outcome",
            ),
            models.CheckConstraint(condition=Q(outcome__in=["", *Outcome.values]), name="workorder_outcome_known"),
            models.CheckConstraint(
                condition=~Q(outcome=Outcome.REPLACED) | ~Q(replaced_by=""), name="workorder_replaced_by_which"
            ),
            models.CheckConstraint(
                condition=Q(assigned_to__isnull=True) | Q(team__isnull=False), name="workorder_person_of_a_team"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at", "id"], name="workorder_due"),
            models.Index(F("due_at"), F("id"), condition=Q(closed_at__isnull=True), name="workorder_open_due"),
            models.Index(fields=["team", "due_at", "id"], name="workorder_by_team"),
        ]

    def __str__(self) -> str:
        return str(self.device)
