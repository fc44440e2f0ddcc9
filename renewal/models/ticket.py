"""Tickets of work orders in the system that people's visits are planned with."""

from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Ticket(models.Model):
    """The one ticket of an order. `correlation_id` stands in it, so that it is found again after a lost answer."""

    order = models.OneToOneField(
        "renewal.WorkOrder", models.CASCADE, related_name="ticket", primary_key=True, verbose_name=_("work order")
    )
    correlation_id = models.UUIDField(default=uuid4, unique=True)
    # What people call it, and what its address is made of: both `FLD-24` in Jira, number and sys_id in ServiceNow.
    key = models.CharField(_("ticket"), max_length=100, blank=True)
    reference = models.CharField(max_length=100, blank=True)
    opened_at = models.DateTimeField(_("opened"), null=True)
    closed_at = models.DateTimeField(_("closed"), null=True)
    tries = models.PositiveIntegerField(_("tries in vain"), default=0)
    next_try_at = models.DateTimeField(_("next try"), null=True)
    problem = models.CharField(_("problem"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("ticket")
        verbose_name_plural = _("tickets")
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(opened_at__isnull=True) | ~Q(reference=""), name="ticket_opened_has_reference"
            ),
        ]
        indexes = [
            models.Index(fields=["next_try_at"], condition=Q(next_try_at__isnull=False), name="ticket_due"),
        ]

    def __str__(self) -> str:
        return self.key or str(self.correlation_id)
