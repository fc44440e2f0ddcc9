"""List filters. Their parameters are the vocabulary in which `links` writes addresses."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from inventory.admin import cells, links
from inventory.admin.strict_lists import unknown_value
from inventory.counters import reading
from inventory.expiry.cliffs import end_of, start_of
from inventory.lists.scan_plan import Portion
from inventory.lists.search import find
from inventory.models import Axis, Batch, Certificate, Fleet, FleetIds, Site, fleets_of
from inventory.models.certificate import CertificateQuerySet, CertificateStatus
from inventory.models.device import DeviceQuerySet

# A choice list longer than this is cut; the search finds what is beyond it.
MOST_CHOICES = 200
NONE = "none"
# Digits of the largest key, 2^63 - 1.
_LONGEST_ID = 19


def is_key(text: str) -> bool:
    """Return whether `text` can be the key of a row. int() alone fails on thousands of digits."""
    return text.isascii() and text.isdecimal() and len(text) <= _LONGEST_ID


# What devices stand on, ended or not: a question of its own and no status of one certificate.
_STANDING = "standing"


def _narrowed(certificates: CertificateQuerySet, value: str, now: datetime) -> CertificateQuerySet:
    return certificates.standing() if value == _STANDING else certificates.of_status(CertificateStatus(value), now)


class StatusFilter(admin.SimpleListFilter):
    """What a certificate is now."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            (_STANDING, _("in use, ended or not")),
            (CertificateStatus.VALID.value, _("valid now")),
            (CertificateStatus.EXPIRING.value, _("expiring within 90 d")),
            (CertificateStatus.UNCONFIRMED.value, _("renewed, unconfirmed")),
            (CertificateStatus.EXPIRED.value, _("expired")),
            (CertificateStatus.REVOKED.value, _("revoked")),
            (CertificateStatus.ISSUER_REVOKED.value, _("issuer revoked")),
            (CertificateStatus.SUPERSEDED.value, _("superseded")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        if value is None:
            return None
        if value not in {key for key, _label in self.lookup_choices}:
            raise IncorrectLookupParameters
        return self.narrow(queryset, value, timezone.now())

    def narrow(self, queryset: QuerySet[Any], value: str, now: datetime) -> QuerySet[Any]:
        return _narrowed(queryset, value, now)  # type: ignore[arg-type]  # the admin's queryset is the manager's


class DeviceStatusFilter(StatusFilter):
    """What a certificate of the device is now."""

    title = _("certificate")

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*super().lookups(request, model_admin), (NONE, _("never had one"))]

    def narrow(self, queryset: QuerySet[Any], value: str, now: datetime) -> QuerySet[Any]:
        if value == NONE:
            devices: DeviceQuerySet = queryset  # type: ignore[assignment]  # the admin's queryset is the manager's
            return devices.without_certificate()
        own = Certificate.objects.filter(device=OuterRef("pk"))
        return queryset.filter(Exists(_narrowed(own, value, now)))


class _GroupFilter(admin.SimpleListFilter):
    """A fleet, or a group within one. `path` leads from the listed model to the device."""

    path = ""
    field = ""
    groups: type[Fleet] | type[Site] | type[Batch]

    def is_value(self, request: HttpRequest, value: str) -> bool:
        """Tell whether there is such a group that the person sees: more of them than are offered."""
        seen = self.groups.objects.of_fleets(fleets_of(request.user))
        return is_key(value) and seen.filter(pk=int(value)).exists()

    def value(self) -> str | None:
        # The header's choice of all fleets leaves the parameter empty.
        return super().value() or None

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        if value is None:
            return None
        if value == NONE and self.parameter_name != "fleet":
            # Of devices: what has none has no place in any group.
            of_devices = {f"{self.path}pk__isnull": False, f"{self.path}{self.field}__isnull": True}
            return queryset.filter(**of_devices)
        if not is_key(value):
            raise IncorrectLookupParameters
        return queryset.filter(**{f"{self.path}{self.field}": int(value)})

    def chosen(self, request: HttpRequest) -> str:
        """Return the name of the group, also of one that is not among the choices."""
        value = self.value() or ""
        if value == NONE or not is_key(value):
            return gettext("none") if value == NONE else ""
        seen: Any = self.groups.objects.of_fleets(fleets_of(request.user))
        name = seen.filter(pk=int(value)).values_list("name", flat=True).first()
        return value if name is None else cells.visible(name)

    def within_fleet(self, request: HttpRequest, model: type[Site] | type[Batch]) -> list[tuple[str, Any]]:
        """Return the groups of the chosen fleet; those of all fleets bear its name too."""
        fleet = request.GET.get("fleet", "")
        seen = model.objects.of_fleets(fleets_of(request.user))
        if is_key(fleet):
            names = seen.filter(fleet_id=int(fleet)).values_list("id", "name")[:MOST_CHOICES]
            return [*((str(pk), cells.name(name)) for pk, name in names), (NONE, _("none"))]
        rows = seen.values_list("id", "name", "fleet__name")[:MOST_CHOICES]
        return [*((str(pk), cells.name(f"{name}, {fleet}")) for pk, name, fleet in rows), (NONE, _("none"))]


class FleetFilter(_GroupFilter):
    title = _("fleet")
    parameter_name = "fleet"
    field = "fleet"
    groups = Fleet

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        seen = Fleet.objects.of_fleets(fleets_of(request.user))
        return [(str(pk), cells.name(name)) for pk, name in seen.values_list("id", "name")[:MOST_CHOICES]]


class SiteFilter(_GroupFilter):
    title = _("site")
    parameter_name = "site"
    field = "site"
    groups = Site

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return self.within_fleet(request, Site)


class BatchFilter(_GroupFilter):
    title = _("batch")
    parameter_name = "batch"
    field = "batch"
    groups = Batch

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return self.within_fleet(request, Batch)


class OfDeviceFleetFilter(FleetFilter):
    path = "device__"


class CountedByDay(ABC):
    """A filter of certificates that knows how many of those it holds end on which day."""

    @abstractmethod
    def portions(self, request: HttpRequest) -> list[Portion] | None:
        """Return on which days they end, None when nothing is chosen. At most four queries."""


class _CertificateGroupFilter(CountedByDay, _GroupFilter):
    """A group of devices, as certificates are counted by it."""

    path = "device__"

    def portions(self, request: HttpRequest) -> list[Portion] | None:
        value = self.value()
        if value is None:
            return None
        return by_days(reading.days_of(Axis(self.field), [None if value == NONE else int(value)]))


class CertificateFleetFilter(_CertificateGroupFilter, FleetFilter):
    pass


class CertificateSiteFilter(_CertificateGroupFilter, SiteFilter):
    pass


class CertificateBatchFilter(_CertificateGroupFilter, BatchFilter):
    pass


def portions_named(term: str, fleets: FleetIds) -> list[Portion] | None:
    """Return on which days certificates end that a search finds by batch or by site, None when it finds none so."""
    found = find(term, fleets)
    axis, groups = (Axis.BATCH, found.batch_ids) if found.batch_ids else (Axis.SITE, found.site_ids)
    by_both = found.batch_ids and found.site_ids
    return by_days(reading.days_of(axis, groups)) if groups and not by_both else None


def by_days(counts: Iterable[tuple[date, int]]) -> list[Portion]:
    """Return the portions of a list of certificates in the order of their end, counted by day, ascending."""
    return [Portion(start_of(day), end_of(day), count) for day, count in counts if count]


class SeenFilter(admin.SimpleListFilter):
    """When the device last used a certificate where we could see it."""

    title = _("last seen")
    parameter_name = "seen"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("never", _("never")), ("day", _("within 24 h")), ("silent", _("silent for 7 d"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        now = timezone.now()
        devices: DeviceQuerySet = queryset  # type: ignore[assignment]  # the admin's queryset is the manager's
        match self.value():
            case None:
                return None
            case "never":
                return devices.never_seen()
            case "day":
                return devices.seen_since(now - timedelta(days=1))
            case "silent":
                return devices.silent_since(now - timedelta(days=7))
            case _:
                raise IncorrectLookupParameters


class SpanFilter(admin.ListFilter):
    """A span of time, from `start_name` up to, not including, `end_name`: two dates, and `presets` beside them."""

    template = "admin/inventory/span_filter.html"
    start_name: str
    end_name: str

    def presets(self, today: date) -> Iterator[tuple[str, datetime, datetime | None]]:
        """Yield spans that are offered by name; None: without an end."""
        raise NotImplementedError

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.others = _others(request, {self.start_name, self.end_name})
        self.bounds: dict[str, datetime] = {}
        for name in self.expected_parameters():
            if name in params:
                text = params.pop(name)
                text = text[-1] if isinstance(text, list) else text
                if text:
                    self.used_parameters[name] = text
                    self.bounds[name] = _moment(name, text)

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return [self.start_name, self.end_name]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        if not self.bounds:
            return None
        return self.narrow(queryset, self.bounds)

    def narrow(self, queryset: QuerySet[Any], span: dict[str, datetime]) -> QuerySet[Any]:
        return queryset.filter(**span)

    def chosen(self, request: HttpRequest) -> str:
        """Return the span in words: a day, or the days from which and before which."""
        start, end = self.bounds.get(self.start_name), self.bounds.get(self.end_name)
        if start and end and end == start + timedelta(days=1) and start == start_of(start.date()):
            return gettext("on %(day)s") % {"day": start.date().isoformat()}
        words = []
        if start:
            words.append(gettext("from %(moment)s") % {"moment": _said(start)})
        if end:
            words.append(gettext("before %(moment)s") % {"moment": _said(end)})
        return " ".join(words)

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        yield {
            "selected": not self.bounds,
            "query_string": changelist.get_query_string(remove=[self.start_name, self.end_name]),
            "display": gettext("All"),
        }
        for word, start, end in self.presets(timezone.now().astimezone(UTC).date()):
            span = {self.start_name: start, **({self.end_name: end} if end else {})}
            named = {name: links.moment(bound) for name, bound in span.items()}
            yield {
                "selected": self.bounds == span,
                "query_string": changelist.get_query_string(named, [self.start_name, self.end_name]),
                "display": word,
            }
        yield {"fields": self.fields()}

    def fields(self) -> dict[str, Any]:
        """Return what the form of the two dates needs. A span that does not start at midnight stays in the address."""
        return {
            "start_name": self.start_name,
            "end_name": self.end_name,
            "start": self.bounds.get(self.start_name),
            "end": self.bounds.get(self.end_name),
            "others": self.others,
        }


class ExpiryFilter(SpanFilter):
    """A span of time in which certificates end: `not_after__gte` up to, not including, `not_after__lt`."""

    title = _("expiry")
    start_name = "not_after__gte"
    end_name = "not_after__lt"

    def phrase(self, word: str) -> str:
        return gettext("that expire %(when)s") % {"when": word}

    def presets(self, today: date) -> Iterator[tuple[str, datetime, datetime | None]]:
        tomorrow = today + timedelta(days=1)
        yield gettext("today"), start_of(today), start_of(tomorrow)
        yield gettext("tomorrow"), start_of(tomorrow), start_of(tomorrow + timedelta(days=1))
        # It ends on Sunday.
        yield gettext("this week"), start_of(today), start_of(today + timedelta(days=8 - today.isoweekday()))
        for days in (7, 30, 60, 90, 365):
            yield gettext("next %(days)s d") % {"days": days}, start_of(today), start_of(today + timedelta(days=days))


class HappenedFilter(SpanFilter):
    """When something happened: `at__gte` up to, not including, `at__lt`."""

    title = _("date")
    start_name = "at__gte"
    end_name = "at__lt"

    def presets(self, today: date) -> Iterator[tuple[str, datetime, datetime | None]]:
        yield gettext("today"), start_of(today), None
        for days in (7, 30, 365):
            yield gettext("last %(days)s d") % {"days": days}, start_of(today - timedelta(days=days - 1)), None


class ActorFilter(admin.ListFilter):
    """Who acted, by the whole name. Names are many, so they are written and not chosen."""

    title = _("user")
    template = "admin/inventory/name_filter.html"
    parameter_name = "actor"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.others = _others(request, {self.parameter_name})
        text = params.pop(self.parameter_name, "")
        text = text[-1] if isinstance(text, list) else text
        if text:
            self.used_parameters[self.parameter_name] = text

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return [self.parameter_name]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        return queryset.filter(**self.used_parameters) if self.used_parameters else None

    def chosen(self, request: HttpRequest) -> str:
        return cells.visible(str(self.used_parameters.get(self.parameter_name, "")))

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        yield {
            "selected": not self.used_parameters,
            "query_string": changelist.get_query_string(remove=[self.parameter_name]),
            "display": gettext("All"),
        }
        value = self.used_parameters.get(self.parameter_name, "")
        yield {"fields": {"name": self.parameter_name, "value": value, "others": self.others}}


def _others(request: HttpRequest, names: set[str]) -> list[tuple[str, str]]:
    """Return what else a form of a filter keeps of the address: all but its own parameters and the position."""
    left_out = {*names, "p", "e", "cursor", "count"}
    return [(key, value) for key, values in request.GET.lists() if key not in left_out for value in values]


class DeviceExpiryFilter(ExpiryFilter):
    title = _("certificate expiry")

    def narrow(self, queryset: QuerySet[Any], span: dict[str, datetime]) -> QuerySet[Any]:
        return queryset.filter(Exists(Certificate.objects.standing().filter(device=OuterRef("pk"), **span)))

    def phrase(self, word: str) -> str:
        return gettext("whose certificates expire %(when)s") % {"when": word}


def _said(moment: datetime) -> str:
    """Return a moment as short as it is exact: midnight is a day."""
    return moment.date().isoformat() if moment == start_of(moment.date()) else moment.strftime("%Y-%m-%d %H:%M")


def _moment(name: str, text: str) -> datetime:
    """Read a moment or a day, both of UTC, from an address. Raises NotUnderstood."""
    try:
        found = parse_datetime(text) or datetime.combine(date.fromisoformat(text), time.min)
    except ValueError:
        raise unknown_value(name, text) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
