"""`fields=a,b`: a row shows what was asked for, and nothing else of it is read from the database."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, QuerySet
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

PARAMETER = "fields"


class _NoColumn(Exception):
    """A field that is computed from the row: which columns it needs, only its code knows."""


def asked(request: Request, known: Iterable[str]) -> frozenset[str] | None:
    """Return the names that a request asks for, None for all. Raises ValidationError for one that is not `known`."""
    text = request.query_params.get(PARAMETER)
    if text is None:
        return None
    names = frozenset(name.strip() for name in text.split(","))
    known = list(known)
    if unknown := sorted(names.difference(known)):
        raise ValidationError(
            {PARAMETER: [f"No field here: {', '.join(unknown)[:200] or 'empty'}. Fields are {', '.join(known)}."]}
        )
    return names


def trim(serializer: Any, names: frozenset[str]) -> None:
    """Leave only `names` in what a serializer shows, of one row or of many."""
    fields = getattr(serializer, "child", serializer).fields
    for name in set(fields) - names:
        del fields[name]


def narrowed(queryset: QuerySet[Any], serializer: Any, names: frozenset[str], always: Iterable[str]) -> QuerySet[Any]:
    """Return the same rows with only the columns that `names` need, and `always`; as it is, where a field is computed.

    Tables that stand behind none of the names are not joined.
    """
    shown = [field for name, field in serializer.fields.items() if name in names]
    try:
        columns = {column for field in shown for column in _columns(queryset, field)}
    except _NoColumn:
        return queryset
    relations = {column.rpartition("__")[0] for column in columns} - {""}
    foreign_keys = {relation.partition("__")[0] for relation in relations}
    chosen = queryset.select_related(None).only(*columns, *foreign_keys, *always)
    return chosen.select_related(*relations) if relations else chosen


def _columns(queryset: QuerySet[Any], field: Any) -> Iterator[str]:
    source: str = field.source
    if source in queryset.query.annotations:
        return
    if source == "*" or isinstance(field, serializers.ManyRelatedField | serializers.ListSerializer):
        raise _NoColumn
    path = "__".join(source.split("."))
    model = _model_at(queryset.model, source.split("."), field)
    if isinstance(field, serializers.SlugRelatedField):
        yield f"{path}__{field.slug_field}"
    elif isinstance(field, serializers.BaseSerializer):
        inner = model._default_manager.all()
        nested: Any = field
        for each in nested.fields.values():
            for column in _columns(inner, each):
                yield f"{path}__{column}"
                # A relation inside a relation is followed by its key.
                if "__" in column:
                    yield f"{path}__{column.partition('__')[0]}"
    else:
        yield path


def _model_at(model: type[Model], path: list[str], field: Any) -> type[Model]:
    """Return the model that the end of a path belongs to. Raises _NoColumn when a step is no column."""
    for step in path:
        try:
            column = model._meta.get_field(step)
        except FieldDoesNotExist:
            raise _NoColumn from None
        if column.is_relation and step == column.name:
            model = column.related_model  # type: ignore[assignment]  # never "self" once models are loaded
    return model
