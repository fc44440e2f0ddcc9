"""What a simulation prints: JSON, a table with one sentence, and the picture of its course."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.template.loader import render_to_string

from renewal.campaigns import ladder_text
from renewal.simulation.fleet.model import Model
from renewal.simulation.fleet.picture import drawn
from renewal.simulation.fleet.scenario import Scenario, Sourced
from renewal.simulation.fleet.sensitivity import Variant

HEADLINE = 0.001
"""Fewer than one meter in a thousand needs a visit: the article's outcome, and only that. Nothing is fitted to it."""

_ROWS = (
    ("meters", "devices"),
    ("renewed", "renewed"),
    ("orders opened", "orders_opened"),
    ("visits", "visits"),
    ("expired in service", "expired_in_service"),
    ("  not visited in time", "expired_unvisited"),
    ("  reachable at all", "expired_reachable"),
    ("field interventions", "field_interventions"),
)
_BRIEF = ("field_interventions", "field_share", "visits", "expired_in_service", "expired_unvisited", "renewed")


def as_json(
    result: dict[str, Any], proven: Model, sourced: Sourced, others: Sequence[tuple[Variant, dict[str, Any]]]
) -> dict[str, Any]:
    """Return all that is known of a run: the result, the model as it was measured, each number with its source."""
    scenario = sourced.scenario
    numbers = {
        name: {"value": value, "source": sourced.sources[name]} for name, value in sorted(scenario.numbers().items())
    }
    told = {
        **result,
        "headline": HEADLINE,
        "headline_holds": result["field_share"] < HEADLINE,
        "model": {**asdict(proven), "ladder": ladder_text.written(scenario.ladder), "numbers": numbers},
    }
    if others:
        told["sensitivity"] = [{"change": variant.name, **_brief(each)} for variant, each in others]
    return told


def _brief(result: dict[str, Any]) -> dict[str, Any]:
    return {key: result[key] for key in _BRIEF}


def as_text(told: dict[str, Any]) -> str:
    """Return a table and one sentence."""
    lines = [f"{name:<30}{told[key]:>12,}" for name, key in _ROWS]
    lines += [f"{f'visits: {reason}':<30}{number:>12,}" for reason, number in told["found_at_visits"].items()]
    lines += [f"{f'messages: {channel}':<30}{number:>12,}" for channel, number in told["messages"].items()]
    if "sensitivity" in told:
        lines += ["", f"{'with':<58}{'field share':>12}{'unvisited':>10}", f"{'as it is':<58}{_row(told)}"]
        lines += [f"{each['change']:<58}{_row(each)}" for each in told["sensitivity"]]
    return "\n".join([*lines, "", _sentence(told)])


def _row(result: dict[str, Any]) -> str:
    return f"{result['field_share']:>12.3%}{result['expired_unvisited']:>10,}"


def _sentence(told: dict[str, Any]) -> str:
    holds = "fewer than" if told["headline_holds"] else "not fewer than"
    return (
        f"On seed {told['seed']}, {told['field_interventions']:,} of {told['devices']:,} meters "
        f"({told['field_share']:.3%}) needed a person, of whom {told['expired_unvisited']:,} were not visited before "
        f"their certificate ended: {holds} the headline's {told['headline']:.1%}."
    )


def picture(result: dict[str, Any], scenario: Scenario) -> str:
    """Return the course of the campaign as SVG."""
    title = f"Meters not renewed yet: {result['devices']:,} meters, seed {result['seed']}"
    opens = scenario.lead_days - scenario.field_lead_days
    laid_out = drawn(result["course"], result["devices"], opens, title)
    return render_to_string("renewal/course.svg", {"picture": laid_out})
