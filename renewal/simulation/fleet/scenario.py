"""Scenarios: the numbers of the world and of the campaign, each with its source, read from TOML. Pure."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.resources import files
from typing import Any

from renewal.campaigns import ladder_text
from renewal.campaigns.ladder import Ladder, LadderError

ASSUMPTION = "assumption"
_LADDER = "ladder"


class ScenarioError(ValueError):
    """The scenario cannot be used; the text names the number, the fault and what is right."""


def _number(table: str, least: float, most: float) -> Any:
    return field(metadata={"table": table, "least": least, "most": most})


@dataclass(frozen=True)
class Scenario:
    """What `scenario.toml` says, which explains each number. Shares are from 0 to 1."""

    validity_days: float = _number("campaign", 30, 7300)
    lead_days: float = _number("campaign", 1, 365)
    field_lead_days: float = _number("campaign", 1, 365)
    visit_span_days: float = _number("campaign", 0, 365)
    expiry_spread_days: float = _number("campaign", 0, 90)
    messages_a_minute: float = _number("campaign", 1, 1_000_000)
    tick_hours: float = _number("campaign", 1, 24)

    deep_sleepers: float = _number("meters", 0, 1)
    deep_sleep_hours: float = _number("meters", 1, 310)
    daily_window_hours: float = _number("meters", 1, 48)
    restart_days: float = _number("meters", 3, 3650)
    wake_fails: float = _number("meters", 0, 0.99)
    wakes_reported: float = _number("meters", 0, 1)
    used_at_next_wake: float = _number("meters", 0, 1)
    meters_a_site: float = _number("meters", 1, 100_000)
    meters_a_batch: float = _number("meters", 1, 1_000_000)

    unreachable_in_window: float = _number("faults", 0, 0.5)
    window_days: float = _number("faults", 1, 365)
    no_coverage: float = _number("faults", 0, 0.5)
    hardware_failures_a_year: float = _number("faults", 0, 0.5)
    transitory: float = _number("faults", 0, 0.5)
    transitory_mean_days: float = _number("faults", 0.1, 60)
    site_outages_a_year: float = _number("faults", 0, 100)
    site_outage_mean_hours: float = _number("faults", 0.1, 720)
    session_repaired_a_week: float = _number("faults", 0, 0.9)
    hardware_repaired_a_week: float = _number("faults", 0, 0.9)
    coverage_repaired_a_week: float = _number("faults", 0, 0.9)

    sms_in_use: float = _number("sms", 0, 1)
    sms_lost: float = _number("sms", 0, 1)
    sms_validity_hours: float = _number("sms", 1, 336)
    sms_restarts_session: float = _number("sms", 0, 1)
    outdated_numbers: float = _number("sms", 0, 1)

    visit_after_least_days: float = _number("visits", 0, 90)
    visit_after_most_days: float = _number("visits", 0, 180)
    push_repairs: float = _number("visits", 0, 1)

    ladder: Ladder = field(kw_only=True, metadata={"table": "campaign"})

    def numbers(self) -> dict[str, float]:
        """Return every number by its name."""
        return {each.name: getattr(self, each.name) for each in _NUMBERS.values()}

    def to_json(self) -> dict[str, Any]:
        return {**self.numbers(), _LADDER: self.ladder.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Scenario":
        return cls(**{**data, _LADDER: Ladder.from_json(data[_LADDER])})


_NUMBERS = {each.name: each for each in fields(Scenario) if each.name != _LADDER}


@dataclass(frozen=True)
class Bounds:
    """From where to where a number may lie, and the table of the file that it stands in."""

    table: str
    least: float
    most: float


@dataclass(frozen=True)
class Sourced:
    """A scenario, and the source of each of its entries by name."""

    scenario: Scenario
    sources: Mapping[str, str]

    @property
    def assumptions(self) -> list[str]:
        """The names of the numbers that nobody has published."""
        return [name for name in _NUMBERS if self.sources[name].startswith(ASSUMPTION)]


@cache
def default() -> Sourced:
    """Return the scenario that the product brings along: the headline's."""
    return _read(files(__package__).joinpath("scenario.toml").read_text(), None)


def read(text: str) -> Sourced:
    """Read TOML; what it leaves out is as in the default. Raises ScenarioError."""
    return _read(text, default())


def _read(text: str, base: Sourced | None) -> Sourced:
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"The scenario is no TOML: {error}.") from error
    values: dict[str, Any] = {**base.scenario.numbers(), _LADDER: base.scenario.ladder} if base else {}
    sources: dict[str, str] = dict(base.sources) if base else {}
    for table, entries in tables.items():
        if not isinstance(entries, dict):
            raise ScenarioError(f"“{table}” stands in no table; write it below [campaign], [meters] or another.")
        for name, entry in entries.items():
            values[name], sources[name] = _entry(table, name, entry)
    missing = [each.name for each in fields(Scenario) if each.name not in values]
    if missing:
        raise ScenarioError(f"The scenario lacks {', '.join(missing)}.")
    scenario = Scenario(**values)
    _check_together(scenario)
    return Sourced(scenario, sources)


def _entry(table: str, name: str, entry: Any) -> tuple[Any, str]:
    known = {each.name: each for each in fields(Scenario)}.get(name)
    if known is None or known.metadata["table"] != table:
        of_table = [each.name for each in fields(Scenario) if each.metadata["table"] == table]
        there = f"it knows {', '.join(of_table)}" if of_table else "there is no such table"
        raise ScenarioError(f"[{table}] knows no “{name}”; {there}.")
    if not isinstance(entry, dict) or set(entry) != {"value", "source"}:
        raise ScenarioError(f'{name}: write {{ value = ..., source = "..." }}, with “{ASSUMPTION}” for no source.')
    source = entry["source"]
    if not isinstance(source, str) or not source.strip():
        raise ScenarioError(f"{name}: the source is a text; write “{ASSUMPTION}” where there is none.")
    return (_ladder(entry["value"]) if name == _LADDER else _checked(name, entry["value"])), source


def _checked(name: str, value: Any) -> float:
    least, most = _NUMBERS[name].metadata["least"], _NUMBERS[name].metadata["most"]
    # In Python a truth value is a number.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ScenarioError(f"{name}: {value!r} is no number.")
    if not least <= value <= most:
        raise ScenarioError(f"{name}: {value} is not from {least} to {most}.")
    return float(value)


def _ladder(text: Any) -> Ladder:
    if not isinstance(text, str):
        raise ScenarioError("ladder: write it as the lines of a campaign's plan.")
    try:
        return ladder_text.read(text)
    except LadderError as error:
        raise ScenarioError(f"ladder: {error}") from error


def _check_together(scenario: Scenario) -> None:
    if scenario.visit_after_least_days > scenario.visit_after_most_days:
        raise ScenarioError("visit_after_least_days is more than visit_after_most_days.")
    if scenario.lead_days > scenario.validity_days:
        raise ScenarioError("lead_days is more than validity_days: the campaign would begin before the certificates.")
    if not scenario.tick_hours.is_integer():
        raise ScenarioError("tick_hours is a whole number.")


def scaled(scenario: Scenario, name: str, factor: float) -> float:
    """Return a number of `scenario` times `factor`, within the bounds that it has."""
    bounds = _NUMBERS[name].metadata
    scaled = scenario.numbers()[name] * factor
    return float(min(max(scaled, bounds["least"]), bounds["most"]))


def bounds() -> dict[str, Bounds]:
    """Return where each number may lie, by its name, in the order of the file."""
    return {name: Bounds(**each.metadata) for name, each in _NUMBERS.items()}


def changed(base: Scenario, numbers: Mapping[str, float], ladder: Ladder) -> Scenario:
    """Return `base` with other numbers and another ladder. Raises ScenarioError."""
    checked = {name: _checked(name, value) for name, value in numbers.items()}
    scenario = Scenario(**{**base.numbers(), **checked}, ladder=ladder)
    _check_together(scenario)
    return scenario


def with_number(scenario: Scenario, name: str, value: float) -> Scenario:
    return Scenario(**{**scenario.numbers(), name: value}, ladder=scenario.ladder)
