"""Whose rows a person sees: those of his or her fleets, of the kinds that a permission opens.

What belongs to a fleet is seen by its people. Rules that fleets share, profiles and authorities, are seen by the people
of every fleet that uses them. What belongs to no fleet, such as the portal's own alerts, is for people of all fleets.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Self, TypeVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

M_co = TypeVar("M_co", bound=models.Model, covariant=True)

# The ids of fleets, ascending; None: all fleets, and what belongs to none.
FleetIds = Sequence[int] | None
NO_FLEET: FleetIds = ()


class FleetMembership(models.Model):
    """A fleet of a person who works for some fleets only. People of all fleets (`User.all_fleets`) need none."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="fleet_memberships", verbose_name=_("user")
    )
    fleet = models.ForeignKey("inventory.Fleet", models.CASCADE, related_name="memberships", verbose_name=_("fleet"))

    class Meta:
        verbose_name = _("fleet of a person")
        verbose_name_plural = _("fleets of people")
        # Given and taken on the page of the person, by who may change it.
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["user", "fleet"], name="fleetmembership_once")]

    def __str__(self) -> str:
        return str(self.fleet)


def fleets_of(user: Any) -> FleetIds:
    """Return the fleets of a user; of nobody, none. At most one query for each object `user`, so one a request."""
    if user is None or not user.is_active:
        return NO_FLEET
    if user.is_superuser or user.all_fleets:
        return None
    if not hasattr(user, "_fleet_ids"):
        ids = FleetMembership.objects.filter(user_id=user.pk).order_by("fleet_id").values_list("fleet_id", flat=True)
        user._fleet_ids = tuple(ids)
    found: FleetIds = user._fleet_ids
    return found


def within(ids: FleetIds, fleet_id: int) -> FleetIds:
    """Return the one fleet that was chosen, or none when it is not among `ids`."""
    return (fleet_id,) if ids is None or fleet_id in ids else NO_FLEET


class ScopedQuerySet(models.QuerySet[M_co]):
    """Rows of which a person sees some. Everything that shows rows to people asks one of these two questions."""

    # Leads from a row to its fleet's id.
    fleet_path: ClassVar[str] = "fleet_id"

    def of_fleets(self, ids: FleetIds) -> Self:
        """The rows that belong to these fleets. Of all fleets: the same query as before."""
        return self if ids is None else self.filter(self._belonging_to(ids))

    def visible_to(self, user: Any) -> Self:
        """The rows of a person's fleets, none without the permission to view or change this kind of row."""
        return self.of_fleets(fleets_of(user)) if may_view(user, self.model) else self.none()

    def _belonging_to(self, ids: Sequence[int]) -> Q:
        return Q(**{f"{self.fleet_path}__in": ids})


class CommonQuerySet(ScopedQuerySet[M_co]):
    """Rows that belong to no fleet and that everybody needs who may see them at all."""

    def of_fleets(self, ids: FleetIds) -> Self:
        return self


class PortalQuerySet(ScopedQuerySet[M_co]):
    """Rows that belong to the portal itself: only people of all fleets see them."""

    def of_fleets(self, ids: FleetIds) -> Self:
        return self if ids is None else self.none()


def may_view(user: Any, model: type[models.Model]) -> bool:
    """Return whether a user may view rows of a model. As in the admin, permission to change includes viewing."""
    options = model._meta.concrete_model._meta if model._meta.concrete_model else model._meta
    return user is not None and any(
        user.has_perm(f"{options.app_label}.{verb}_{options.model_name}") for verb in ("view", "change")
    )
