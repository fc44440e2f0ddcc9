from datetime import timedelta

import pytest
from django.conf import settings

from renewal.campaigns.ladder import DEFAULT
from renewal.simulation.fleet import scenario
from renewal.simulation.fleet.scenario import Scenario, ScenarioError
from renewal.simulation.fleet.sensitivity import variants


def test_the_default_is_the_headline():
    headline = scenario.default().scenario
    assert headline.validity_days == 3 * 365
    assert headline.lead_days == 90
    assert headline.field_lead_days == 60
    # What the product does unless it is told otherwise.
    assert timedelta(days=headline.visit_span_days) == settings.VISIT_SPAN
    assert all(rungs == DEFAULT.of(connectivity) for connectivity, rungs in headline.ladder.rungs.items())
    assert headline.deep_sleep_hours == 72
    assert headline.unreachable_in_window == 0.07


def test_every_entry_has_a_source_or_says_that_it_is_an_assumption():
    sourced = scenario.default()
    assert set(sourced.sources) == {*sourced.scenario.numbers(), "ladder"}
    assert all(source.strip() for source in sourced.sources.values())
    assert "unreachable_in_window" not in sourced.assumptions
    assert "sms_lost" in sourced.assumptions


def test_a_file_changes_what_it_names_and_nothing_else():
    changed = scenario.read('[sms]\nsms_lost = { value = 0.2, source = "our gateway, 2026" }').scenario
    assert changed.sms_lost == 0.2
    assert {**changed.numbers(), "sms_lost": 0} == {**scenario.default().scenario.numbers(), "sms_lost": 0}


def test_a_scenario_survives_json():
    headline = scenario.default().scenario
    assert Scenario.from_json(headline.to_json()) == headline


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sms", "is no TOML"),
        ("sms = 1", "stands in no table"),
        ('[sms]\nlost = { value = 0.2, source = "x" }', "it knows sms_in_use, sms_lost"),
        ('[air]\nsms_lost = { value = 0.2, source = "x" }', "there is no such table"),
        ('[faults]\nsms_lost = { value = 0.2, source = "x" }', "knows no “sms_lost”"),
        ("[sms]\nsms_lost = 0.2", "write { value = ..., source"),
        ('[sms]\nsms_lost = { value = 0.2, source = " " }', "the source is a text"),
        ('[sms]\nsms_lost = { value = "much", source = "x" }', "'much' is no number"),
        ('[sms]\nsms_lost = { value = true, source = "x" }', "True is no number"),
        ('[sms]\nsms_lost = { value = 1.2, source = "x" }', "1.2 is not from 0 to 1"),
        ('[sms]\nsms_lost = { value = nan, source = "x" }', "nan is not from 0 to 1"),
        ('[campaign]\ntick_hours = { value = 1.5, source = "x" }', "whole number"),
        ('[campaign]\nladder = { value = "daily: pigeon 2 × 3 d", source = "x" }', "“pigeon” is no channel"),
        ('[campaign]\nladder = { value = 3, source = "x" }', "lines of a campaign's plan"),
        ('[visits]\nvisit_after_least_days = { value = 40, source = "x" }', "more than visit_after_most_days"),
        ('[campaign]\nvalidity_days = { value = 60, source = "x" }', "lead_days is more than validity_days"),
    ],
)
def test_a_wrong_scenario_is_refused_with_the_number_and_the_fault(text, says):
    with pytest.raises(ScenarioError) as refused:
        scenario.read(text)
    assert says in str(refused.value)


def test_the_sensitivity_changes_each_assumption_both_ways_and_what_a_planner_chooses():
    sourced = scenario.default()
    names = [variant.name for variant in variants(sourced)]
    assert {"SMS off", "no wake predictor", "30-day lead", "60-day lead", "SMS validity 18 h"} <= set(names)
    for assumption in sourced.assumptions:
        assert sum(name.startswith(f"{assumption} ") for name in names) == 2
    assert len(set(names)) == len(names)
