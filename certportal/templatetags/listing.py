"""What lists show beside their rows."""

from typing import Any

from django import template
from django.utils.translation import gettext as _

from certportal import saved_filters
from inventory.admin import cells
from inventory.admin.chosen_filters import Chosen, chosen_filters, title

register = template.Library()


@register.simple_tag(takes_context=True)
def list_chosen(context: dict[str, Any]) -> list[Chosen]:
    """Return what the list that the page shows is narrowed to. Names are read once, for the title and the heading."""
    changelist = context["cl"]
    if not hasattr(changelist, "chosen"):
        changelist.chosen = chosen_filters(changelist, context["request"])
    found: list[Chosen] = changelist.chosen
    return found


@register.simple_tag
def list_title(changelist: Any, chosen: list[Chosen]) -> str:
    """Return the title of a list: what it holds, and how many."""
    count = getattr(changelist, "count", None)
    number = cells.count(changelist.result_count)
    said = number if count is None or count.exact else _("about %(count)s") % {"count": number}
    return title(str(changelist.opts.verbose_name_plural), chosen, said)


@register.simple_tag(takes_context=True)
def saved_filter_panel(context: dict[str, Any]) -> saved_filters.Panel | None:
    """Return the kept filters of the list that the page shows."""
    request, options = context["request"], context["cl"].opts
    return saved_filters.panel(request.user, f"{options.app_label}_{options.model_name}", request.GET.urlencode())
