"""Names of rows as links to their pages, for who may see these."""

from typing import Any

from django.db.models import Model
from django.utils.safestring import SafeString

from inventory.admin import cells, links
from inventory.models.access import may_view


def page_of(thing: Model | None, viewer: Any) -> SafeString:
    """Return the name of `thing`, as a link to its page where `viewer` may see such pages. No query of its own."""
    shown = cells.name(thing)
    if thing is None or not may_view(viewer, type(thing)):
        return shown
    return cells.link(links.page(f"{thing._meta.app_label}_{thing._meta.model_name}", thing.pk), shown)


def from_row(thing: Model | None, row: Model) -> SafeString:
    """Return what a row of a list refers to, as `page_of` for who looks at the list: `ScopedAdmin` says of each row."""
    return page_of(thing, getattr(row, "viewer", None))
