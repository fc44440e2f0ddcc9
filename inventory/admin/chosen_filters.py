"""What a list is narrowed to, in words, and how to take each of it off again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.admin import cells
from inventory.admin.scoped import narrowed
from inventory.models import fleets_of

# What the end of a lookup means, before its value.
_LOOKUPS = {
    "gte": gettext_lazy("from"),
    "gt": gettext_lazy("after"),
    "lte": gettext_lazy("up to"),
    "lt": gettext_lazy("before"),
}


@dataclass(frozen=True)
class Chosen:
    """One filter: its name, what was chosen, and the list without it.

    `phrase` says both in one for the title ("that expire on 2027-02-16"), "" where name and word do.
    """

    name: str
    word: str
    without_url: str
    phrase: str = ""


def chosen_filters(changelist: ChangeList, request: HttpRequest) -> list[Chosen]:
    """Return what narrows the list: what only its address says, its filters in their order, and the search.

    `phrases` of the list's admin says "purpose=device" in words for the title.
    """
    found = [*_of_address(changelist, request), *_of_specs(changelist, request)]
    if changelist.query:
        without = changelist.get_query_string(remove=[SEARCH_VAR])
        found.append(Chosen(_("search"), cells.visible(changelist.query), without))
    return found


def title(plural: str, chosen: list[Chosen], count: str) -> str:
    """Return the title of a list: "Certificates that expire on 2027-02-16, site Penang: 217"."""
    phrases = [each.phrase for each in chosen if each.phrase]
    others = [f"{each.name} {each.word}" for each in chosen if not each.phrase]
    said = " ".join([plural[:1].upper() + plural[1:], *phrases])
    return ", ".join([said, *others]) + f": {count}"


def _of_specs(changelist: ChangeList, request: HttpRequest) -> Iterator[Chosen]:
    for spec in changelist.filter_specs:
        parameters = [name for name in spec.expected_parameters() if name]
        if not any(changelist.params.get(name) or request.GET.get(name) for name in parameters):
            continue
        without = changelist.get_query_string(remove=parameters)
        own = getattr(spec, "chosen", None)
        word = own(request) if own else _selected(spec, changelist)
        if word:
            yield Chosen(str(spec.title), word, without, getattr(spec, "phrase", lambda _word: "")(word))


def _selected(spec: Any, changelist: ChangeList) -> str:
    return next((str(each["display"]) for each in spec.choices(changelist) if each.get("selected")), "")


def _of_address(changelist: ChangeList, request: HttpRequest) -> Iterator[Chosen]:
    known = {name for spec in changelist.filter_specs for name in spec.expected_parameters()}
    for lookup, values in changelist.get_filters_params().items():
        if lookup in known:
            continue
        path, _separator, end = lookup.rpartition("__")
        name = path if end in _LOOKUPS else lookup
        value = values[-1] if isinstance(values, list) else values
        word = f"{_LOOKUPS[end]} {value}" if end in _LOOKUPS else _named(changelist, name, value, request)
        phrase = getattr(changelist.model_admin, "phrases", {}).get(f"{lookup}={value}", "")
        without = changelist.get_query_string(remove=[lookup])
        yield Chosen(_field(changelist, name), cells.visible(word), without, str(phrase))


def _field(changelist: ChangeList, name: str) -> str:
    field = _last_field(changelist, name)
    return name if field is None else str(field.verbose_name)


def _last_field(changelist: ChangeList, path: str) -> Any:
    """Return the field that the relations of a lookup lead to, a relation rather than the key it goes by; or None."""
    found, options = None, changelist.opts
    for name in path.split("__"):
        try:
            field: Any = options.get_field(name)
        except FieldDoesNotExist:
            break
        related = field.related_model
        if not (isinstance(related, type) and issubclass(related, Model)):
            return found or field
        found, options = field, related._meta
    return found


def _named(changelist: ChangeList, name: str, value: str, request: HttpRequest) -> str:
    """Return the related row by its name, if the person sees it."""
    field = _last_field(changelist, name)
    related = None if field is None else field.related_model
    if not (isinstance(related, type) and issubclass(related, Model)):
        return str(value)
    try:
        row = narrowed(related._default_manager.all(), fleets_of(request.user)).filter(pk=value).first()
    except (ValueError, ValidationError):
        return str(value)
    return str(value if row is None else row)
