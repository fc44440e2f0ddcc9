"""What lists show beside their rows."""

from typing import Any

from django import template

from certportal import saved_filters

register = template.Library()


@register.simple_tag(takes_context=True)
def saved_filter_panel(context: dict[str, Any]) -> saved_filters.Panel | None:
    """Return the kept filters of the list that the page shows."""
    request, options = context["request"], context["cl"].opts
    return saved_filters.panel(request.user, f"{options.app_label}_{options.model_name}", request.GET.urlencode())
