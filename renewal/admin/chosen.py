"""What a campaign is narrowed to beside its span: a list of the admin as somebody filtered it, or devices by name."""

from copy import copy
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.admin import cells
from inventory.models import Device, Fleet

# The lists that a campaign can be made from.
LISTS = {
    "inventory_certificate": gettext_lazy("the list of certificates"),
    "inventory_device": gettext_lazy("the list of devices"),
}
MOST_SERIALS = 100_000
_SHOWN = 5


class NotChosen(ValueError):
    """What was to be chosen is not there; the text says what, for people."""


@dataclass(frozen=True)
class ChosenList:
    """A list and the query of its address, as saved filters keep them too."""

    listed: str
    query: str

    @property
    def url(self) -> str:
        address = reverse(f"admin:{self.listed}_changelist")
        return f"{address}?{self.query}" if self.query else address

    def __str__(self) -> str:
        return f"{self.listed}?{self.query}"

    @classmethod
    def read(cls, text: str) -> "ChosenList | None":
        """Read what `str` writes, None for anything else."""
        listed, mark, query = text.partition("?")
        return cls(listed, query) if mark and listed in LISTS else None


def of_list(request: HttpRequest, site: AdminSite, chosen: ChosenList) -> Q:
    """Return the condition on certificates that `chosen` lists them or their devices to who asks.

    Raises NotChosen for a filter that the list does not know.
    """
    app, _underscore, name = chosen.listed.partition("_")
    model = apps.get_model(app, name)
    model_admin: Any = site.get_model_admin(model)
    asked = copy(request)
    asked.GET = QueryDict(chosen.query)
    if not model_admin.has_view_permission(asked):
        raise PermissionDenied
    try:
        rows: QuerySet[Device] = model_admin.all_rows(asked)
    except Http404 as error:
        raise NotChosen(_("The list does not know this filter any more; open it and choose anew.")) from error
    keys = rows.order_by().values("pk")
    return Q(device__in=keys) if model is Device else Q(pk__in=keys)


def of_serials(text: str, fleet: Fleet) -> tuple[Q, int]:
    """Return the condition on certificates that their devices are named in `text`, and how many are.

    Serial numbers stand apart by blanks, commas or ends of lines. Raises NotChosen when the fleet has one of them not.
    """
    serials = sorted(set(text.replace(",", " ").split()))
    if len(serials) > MOST_SERIALS:
        text = _("%(count)s serial numbers are too many: at most %(most)s. Put the devices into a batch or site.")
        raise NotChosen(text % {"count": cells.count(len(serials)), "most": cells.count(MOST_SERIALS)})
    found = dict(Device.objects.filter(fleet=fleet, serial__in=serials).values_list("serial", "pk"))
    missing = [serial for serial in serials if serial not in found]
    if missing:
        text = _("%(count)s of %(all)s are no devices of fleet “%(fleet)s”: %(some)s.")
        some = ", ".join(cells.visible(serial) for serial in missing[:_SHOWN])
        words = {
            "count": cells.count(len(missing)),
            "all": cells.count(len(serials)),
            "fleet": fleet,
            "some": f"{some}, …" if len(missing) > _SHOWN else some,
        }
        raise NotChosen(text % words)
    return Q(device__in=list(found.values())), len(serials)
