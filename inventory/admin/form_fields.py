"""How forms take spans and moments: as people write them, and as every page shows them."""

from typing import Any

from django import forms
from django.db import models
from django.utils.translation import gettext_lazy as _

from inventory.admin.durations import DurationField

_TYPED = {"inputmode": "numeric", "autocomplete": "off"}


class DayInput(forms.DateInput):
    """A day in ISO form. The browser's own field would show it in the order of the browser's language."""

    def __init__(self) -> None:
        shown = {"placeholder": _("YYYY-MM-DD"), "pattern": r"\d{4}-\d{2}-\d{2}", "size": "10"}
        super().__init__({**_TYPED, **shown}, format="%Y-%m-%d")


class MomentInput(forms.DateTimeInput):
    """A moment of UTC in ISO form, in one field."""

    def __init__(self) -> None:
        shown = {"placeholder": _("YYYY-MM-DD HH:MM"), "size": "16"}
        super().__init__({**_TYPED, **shown}, format="%Y-%m-%d %H:%M")


FORM_FIELDS: dict[Any, dict[str, Any]] = {
    models.DurationField: {"form_class": DurationField},
    models.DateField: {"widget": DayInput},
    models.DateTimeField: {"form_class": forms.DateTimeField, "widget": MomentInput},
}
"""The `formfield_overrides` of our forms."""
