"""Files of work orders that people carry: what is asked for, its bounds, and who took it in the audit log."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.audit import record
from inventory.audit.record import Actor
from inventory.models import AuditAction
from renewal import sheets
from renewal.field import geojson, healing, paper
from renewal.field.itinerary import itinerary
from renewal.field.refused import Refused
from renewal.models.work_order import WorkOrderQuerySet


class FileKind(models.TextChoices):
    PDF = "pdf", gettext_lazy("sheets to print")
    GEOJSON = "geojson", gettext_lazy("map")


MEDIA_TYPES = {FileKind.PDF: sheets.MEDIA_TYPE, FileKind.GEOJSON: geojson.MEDIA_TYPE}
# A route costs the square of its stops, and nobody carries more paper; a map of more points shows none.
MOST = {FileKind.PDF: 300, FileKind.GEOJSON: 5000}


@dataclass(frozen=True)
class File:
    name: str
    media_type: str
    content: bytes


def file_of(
    orders: WorkOrderQuerySet,
    kind: FileKind,
    *,
    question: str,
    address_of: Callable[[int], str],
    now: datetime,
    actor: Actor,
) -> File | Refused:
    """Return a file of `orders`, which somebody chose by `question`, and record who took it. Three queries."""
    most = MOST[kind]
    found = list(orders.with_facts().order_by("due_at", "pk")[: most + 1])
    if len(found) > most:
        text = _(
            "These are more than %(most)s orders, the most of one such file. Narrow the list, as to a site or team."
        )
        return Refused(text % {"most": most})
    if kind == FileKind.PDF:
        content = paper.sheet(itinerary(found), healing.chances(found, now), address_of, now)
    else:
        content = geojson.geojson(found, address_of)
    told = {"filter": question, "format": kind.value, "rows": len(found), "whole": True}
    name = f"work-orders: {question or 'all'}"
    record.record([record.event(AuditAction.EXPORT_ENDED, now=now, actor=actor, object_name=name, details=told)])
    return File(f"work-orders-{now:%Y%m%dT%H%M%SZ}.{kind.value}", MEDIA_TYPES[kind], content)
