"""The page "Configuration": what is set once and seldom changed, apart from the daily work."""

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext_lazy as _

from certportal.handbook.help import of_model

# As the admin names models: by app and class.
SECTIONS = (
    (_("Fleets and their rules"), ("inventory.Fleet", "inventory.Site", "inventory.Batch", "inventory.Profile",
                                   "inventory.Authority")),
    (_("Early warning"), ("inventory.AlertPolicy", "inventory.Recipient", "inventory.Mute", "inventory.Delivery")),
    (_("Ways to devices"), ("renewal.Gateway", "renewal.Team", "renewal.DeviceNote")),
    (_("What comes in"), ("inventory.ColumnMapping",)),
    (_("Access"), ("certportal.User", "auth.Group", "certportal.ApiToken", "django_rq.Dashboard")),
)  # fmt: skip


def in_sections(apps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the sections in the shape in which the admin lists its apps, without what a person may not see.

    Each model has its sentence, `says`.
    """
    by_name = {_name(model): {**model, "says": of_model(model["model"])} for app in apps for model in app["models"]}
    for name, models in SECTIONS:
        if shown := [by_name[model] for model in models if model in by_name]:
            yield {"name": name, "models": shown}


def _name(model: dict[str, Any]) -> str:
    return f"{model['model']._meta.app_label}.{model['object_name']}"
