"""Single values on pages, as `inventory.admin.cells` shows them in lists."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django import template
from django.db.models import Model
from django.template import Context
from django.utils.safestring import SafeString

from inventory.admin import cells, links, named
from inventory.audit.summaries import told
from inventory.devices.timeline import Outlook
from inventory.expiry.cliffs import Cliff
from inventory.models import AuditEvent, Certificate
from inventory.models.audit import ActorKind

register = template.Library()

register.filter("count", cells.count)
register.filter("named", cells.name)
register.filter("code", cells.code)
register.filter("shortened", cells.shortened)
register.filter("visible", cells.visible)
register.filter("visible_lines", cells.visible_lines)


@register.filter
def code_whole(value: str) -> SafeString:
    return cells.code(value, whole=True)


@register.simple_tag
def when(moment: datetime | None, now: datetime) -> SafeString:
    """Show a day and its distance."""
    return cells.when(moment, now)


@register.simple_tag
def when_exactly(moment: datetime | None, now: datetime) -> SafeString:
    """Show a moment to the minute and its distance."""
    return cells.when(moment, now, to_the_minute=True)


@register.simple_tag
def distance(moment: datetime, now: datetime) -> str:
    return cells.distance(moment, now)


@register.simple_tag
def status(certificate: Certificate | None, now: datetime) -> SafeString:
    return cells.status(certificate, now)


@register.simple_tag
def sentence(outlook: Outlook, now: datetime) -> SafeString:
    """Show what happens next to a device."""
    return cells.sentence(outlook, now)


@register.filter
def span(length: timedelta) -> str:
    return cells.span(length)


@register.simple_tag(takes_context=True)
def page_of(context: Context, thing: Model | None) -> SafeString:
    """Show the name of a row, as a link to its page for who may see it."""
    return named.page_of(thing, context["request"].user)


@register.filter
def device_url(pk: int) -> str:
    return links.device(pk)


@register.filter
def cliff_url(cliff: Cliff) -> str:
    return links.of_cliff(cliff)


@register.filter
def certificate_url(pk: int) -> str:
    return links.certificate(pk)


@register.filter
def who(event: AuditEvent) -> SafeString:
    """Show the actor of an event; the portal itself is named as such."""
    return cells.state("neutral", event.actor) if event.actor_kind == ActorKind.SYSTEM else cells.name(event.actor)


@register.filter
def why(event: AuditEvent) -> SafeString:
    return cells.name(told(event.details))


@register.filter
def percent(share: float) -> str:
    return f"{share:.0%}"


@register.filter
def plain(number: float) -> str:
    """Write a number as attributes need it, whatever the language."""
    return f"{number:g}"


@register.filter
def at(mapping: Mapping[str, int], key: str) -> int:
    """Return one count of a mapping, zero when it has none."""
    return mapping.get(key, 0)


@register.filter
def whole(number: float) -> str:
    """Show a measured number without decimals."""
    return cells.count(round(number))
