"""The pages of the inventory in the sections in which people look for them."""

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext_lazy as _

SECTIONS = (
    (_("Fleets and their rules"), ("Fleet", "Site", "Batch", "Profile", "Authority")),
    (_("Early warning"), ("AlertPolicy", "Recipient", "Mute", "Delivery")),
    (_("Devices cut off"), ("ExpiredDevice", "RevokedDevice", "Case")),
    (_("What comes in"), ("ImportRun", "ColumnMapping", "UnexpectedSighting")),
    (_("Lists"), ("Device", "Certificate", "Alert", "Proposal", "AuditEvent")),
)


def in_sections(app: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the inventory, as the admin lists an app, as one app a section; without what a person may not see."""
    by_name = {model["object_name"]: model for model in app["models"]}
    for name, models in SECTIONS:
        if shown := [by_name[model] for model in models if model in by_name]:
            yield {**app, "name": name, "models": shown}
