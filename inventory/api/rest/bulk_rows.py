"""Bodies of one object or of many, and one shape for what became of each.

As for sightings: `counts` by outcome, and `results` in the order of the request, each with its `outcome`; one that was
refused has a `reason` for people and `details` by field, as an error has.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from drf_spectacular.utils import PolymorphicProxySerializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from inventory.api.rest.etags import tag
from inventory.devices.bulk_results import MOST_AT_ONCE, Result, RowOutcome

Shown = dict[str, Any]


def items(body: object) -> list[object]:
    """Return the objects of a body that is a list. Raises ValidationError unless it holds 1 to MOST_AT_ONCE."""
    if not isinstance(body, list):
        raise ValidationError({"non_field_errors": [f"Send a list of 1 to {MOST_AT_ONCE} objects."]})
    if not 1 <= len(body) <= MOST_AT_ONCE:
        text = f"A list holds 1 to {MOST_AT_ONCE} objects; this one has {len(body)}."
        raise ValidationError({"non_field_errors": [text]})
    return body


def parsed(serializer: Any, rows: Iterable[object]) -> tuple[dict[int, Any], dict[int, ValidationError]]:
    """Return by its place what `serializer` reads from each row, and why it refuses the others."""
    good: dict[int, Any] = {}
    bad: dict[int, ValidationError] = {}
    for place, row in enumerate(rows):
        try:
            good[place] = serializer.run_validation(row)
        except ValidationError as error:
            bad[place] = error
    return good, bad


def one_or_many(name: str, serializer: type[serializers.Serializer[Any]]) -> PolymorphicProxySerializer:
    """Describe a body that is an object or a list of them."""
    return PolymorphicProxySerializer(
        name, [serializer, serializer(many=True)], resource_type_field_name=None, many=False
    )


def refused(error: ValidationError) -> Shown:
    """Return how a row is shown that a serializer refused."""
    details = error.detail if isinstance(error.detail, dict) else {"non_field_errors": error.detail}
    reason = " ".join(f"{field}: {' '.join(map(str, _flat(said)))}" for field, said in details.items())
    return {"outcome": "refused", "reason": reason, "details": details}


def answer(done: Mapping[int, Result[Any]], bad: Mapping[int, ValidationError], shower: Any) -> dict[str, Any]:
    """Return the answer to rows by their places: `done`, or `bad` ones. `shower` shows an object as a GET does."""
    places = range(len(done) + len(bad))
    shown = [refused(bad[place]) if place in bad else _shown(done[place], shower) for place in places]
    counts = Counter(result["outcome"] for result in shown)
    return {"counts": {outcome: counts[outcome] for outcome in RowOutcome.values}, "results": shown}


def _shown(result: Result[Any], shower: Any) -> Shown:
    if result.object is None:
        return refused(ValidationError({result.field: [result.reason]}))
    etag = tag(shower.to_representation(result.object))
    return {"outcome": result.outcome.value, "id": result.object.pk, "etag": etag}


def _flat(said: Any) -> list[Any]:
    if isinstance(said, Mapping):
        return [text for each in said.values() for text in _flat(each)]
    return [text for each in said for text in _flat(each)] if isinstance(said, list) else [said]


class RowResultSerializer(serializers.Serializer[Any]):
    """What became of one row. For the description alone."""

    outcome = serializers.ChoiceField(RowOutcome.choices)
    id = serializers.IntegerField(required=False, help_text="Of the row in the portal; not when it was refused")
    etag = serializers.CharField(required=False, help_text="As a GET of the object says it, for the next change")
    reason = serializers.CharField(required=False, help_text="Why it was refused")
    details = serializers.DictField(required=False, help_text="The fields at fault, each with what it needs")


class RowResultsSerializer(serializers.Serializer[Any]):
    """What became of each row. For the description alone."""

    counts = serializers.DictField(child=serializers.IntegerField(), help_text="How many had each outcome")
    results = RowResultSerializer(many=True, help_text="In the order of the request")
