"""Lists that say what in their address they do not understand, and show nothing then.

Django leads to the whole list instead, and a value that no row has gives an empty one: neither says that the address
was mistyped. Here both are a refusal that names the filter and the value.
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib.admin import ChoicesFieldListFilter, RelatedFieldListFilter, SimpleListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.exceptions import FieldDoesNotExist
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from inventory.admin import cells

_MOST_NAMED = 20
_LONGEST = 80


class NotUnderstood(IncorrectLookupParameters):
    """What of an address a list does not understand: `parameter` is its name there, the text what is wrong with it."""

    def __init__(self, parameter: str, text: str) -> None:
        super().__init__(text)
        self.parameter = parameter


def unknown_value(parameter: str, value: object, known: Iterable[object] = ()) -> NotUnderstood:
    """Return the refusal of a value that a filter does not have; `known` are those that it has, where they are few."""
    words = {"parameter": cells.visible(parameter), "value": _short(value)}
    text = _("%(parameter)s: “%(value)s” is no value of this filter.") % words
    named = [str(each) for each in known]
    if 0 < len(named) <= _MOST_NAMED:
        text += " " + _("It has: %(values)s.") % {"values": cells.visible(", ".join(named))}
    return NotUnderstood(parameter, text)


def unknown_filter(parameter: str) -> NotUnderstood:
    return NotUnderstood(parameter, _("This list has no filter “%(parameter)s”.") % {"parameter": _short(parameter)})


def unknown_place(parameter: str, value: object) -> NotUnderstood:
    text = _("%(parameter)s: “%(value)s” is no place in this list.")
    return NotUnderstood(parameter, text % {"parameter": parameter, "value": _short(value)})


def _short(value: object) -> str:
    text = str(value)
    return cells.visible(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


class StrictChangeList(ChangeList):
    """Raises NotUnderstood for the first filter, value or page of an address that the list does not have."""

    _remaining: dict[str, Any]

    def get_filters(self, request: HttpRequest) -> Any:
        try:
            found = super().get_filters(request)
        except NotUnderstood:
            raise
        except IncorrectLookupParameters as error:
            raise self._unknown(self.get_filters_params()) from error
        specs, _has_filters, self._remaining, *_rest = found
        self._refuse_ignored(specs)
        for spec in specs:
            _refuse_unknown(spec, request)
            _name_in_refusals(spec)
        for key, values in self._remaining.items():
            self._refuse_unknown_choice(key, values)
        return found

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        try:
            return super().get_queryset(request, exclude_parameters)
        except NotUnderstood:
            raise
        except IncorrectLookupParameters as error:
            raise self._unknown(self._remaining) from error

    def get_results(self, request: HttpRequest) -> None:
        try:
            super().get_results(request)
        except NotUnderstood:
            raise
        except IncorrectLookupParameters as error:
            raise unknown_place(PAGE_VAR, self.page_num) from error

    def _refuse_ignored(self, specs: Iterable[Any]) -> None:
        """Refuse what a filter took that offers nothing here and is left aside: the list would show everything."""
        used = {name for spec in specs for name in spec.used_parameters}
        for key, values in self.get_filters_params().items():
            by_date = self.date_hierarchy and key.startswith(f"{self.date_hierarchy}__")
            if values[-1] and not by_date and key not in used and key not in self._remaining:
                raise unknown_value(key, values[-1])

    def _refuse_unknown_choice(self, key: str, values: Any) -> None:
        """Refuse a value, of a field that is asked for without a filter of its own, that it cannot have."""
        try:
            field = self.opts.get_field(key.removesuffix("__exact"))
        except FieldDoesNotExist:
            return
        choices = [str(choice) for choice, _label in getattr(field, "flatchoices", ())]
        for value in values if isinstance(values, list) else [values]:
            if choices and str(value) not in choices:
                raise unknown_value(key, value, choices)

    def _unknown(self, asked: dict[str, Any]) -> NotUnderstood:
        """Return the refusal of what nothing but the database, or Django itself, has refused."""
        for key in asked:
            try:
                self.opts.get_field(key.partition("__")[0])
            except FieldDoesNotExist:
                return unknown_filter(key)
        parameter = next(iter(asked), "")
        value = asked.get(parameter, "")
        return unknown_value(", ".join(asked), value[-1] if isinstance(value, list) and value else value)


def _refuse_unknown(spec: Any, request: HttpRequest) -> None:
    """Refuse a value that a filter has not. Raises NotUnderstood.

    A filter that has more values than it offers says by `is_value` whether one is of them.
    """
    if isinstance(spec, SimpleListFilter):
        value, known = spec.value(), [str(key) for key, _label in spec.lookup_choices]
        more = getattr(spec, "is_value", None)
        if value is not None and value not in known and not (more and more(request, value)):
            raise unknown_value(spec.parameter_name or "", value, [] if more else known)
    elif isinstance(spec, ChoicesFieldListFilter | RelatedFieldListFilter):
        of_field = isinstance(spec, ChoicesFieldListFilter)
        choices: Iterable[Any] = spec.field.flatchoices if of_field else spec.lookup_choices  # type: ignore[union-attr]
        known = [str(key) for key, _label in choices]
        for value in spec.lookup_val or ():
            if value not in known:
                raise unknown_value(spec.lookup_kwarg, value, known if of_field else ())


def _name_in_refusals(spec: Any) -> None:
    """Let a filter name itself and its value in whatever it refuses when it narrows the list."""
    narrow: Callable[[HttpRequest, Any], Any] = spec.queryset

    def named(request: HttpRequest, rows: Any) -> Any:
        try:
            return narrow(request, rows)
        except NotUnderstood:
            raise
        except IncorrectLookupParameters as error:
            parameter, value = next(iter(spec.used_parameters.items()), ("", ""))
            raise unknown_value(parameter, value[-1] if isinstance(value, list) and value else value) from error

    spec.queryset = named
