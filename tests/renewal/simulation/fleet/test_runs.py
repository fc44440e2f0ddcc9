"""Whole campaigns of virtual meters, each in a scratch database beside that of the test run."""

import json
import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from renewal.simulation.fleet import model, report, running, scenario, scratch
from renewal.simulation.fleet.running import LiveDatabase
from renewal.simulation.fleet.scratch import Order, Scratch

pytestmark = pytest.mark.long

HEADLINE = scenario.default().scenario
# One tick a day: as true, and sooner through.
QUICK = replace(HEADLINE, tick_hours=24.0)
DEVICES, FEW = 2_000, 1_000
LEFT = f"{scratch.PREFIX}of_a_crash"


@pytest.fixture(scope="module")
def made(django_db_setup, django_db_blocker) -> Iterator[Scratch]:
    """One template for all runs of this module, to migrate takes longer than a small campaign; made after a crash."""
    with django_db_blocker.unblock():
        own = connection.get_connection_params()
        server = {key: own[key] for key in ("host", "user", "password", "dbname")}
        with psycopg.connect(**server, autocommit=True) as other:
            other.execute(f"CREATE DATABASE {LEFT}")
        with scratch.prepared() as prepared:
            yield prepared


@pytest.fixture(scope="module")
def fleet(made, django_db_blocker):
    """The headline's fleet, a thousandth of it."""
    with django_db_blocker.unblock():
        return made.run(Order(DEVICES, 7, HEADLINE, processes=2))


@pytest.fixture(scope="module")
def variants(made, django_db_blocker):
    """A small fleet as it is, without SMS, and with a lead of 30 days."""
    changed = QUICK, replace(QUICK, sms_in_use=0.0), replace(QUICK, lead_days=30.0)
    with django_db_blocker.unblock():
        return made.run_each([Order(FEW, 1, each) for each in changed], 1)


def what_came(result):
    """Return the result without what depends on the machine."""
    return {key: value for key, value in result.items() if key not in {"processes", "seconds", "peak_memory_mib"}}


def scratch_databases(of: int | str = "") -> set[str]:
    """Return those there are, or those of the process `of`: others of this test run make theirs beside."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [f"{scratch.PREFIX}{of}"])
        return {name for (name,) in cursor.fetchall()}


@pytest.mark.django_db
def test_the_same_seed_gives_the_same_result_in_however_many_processes(made, variants):
    as_it_is, *_worse = variants
    assert what_came(made.run(Order(FEW, 1, QUICK, processes=2))) == what_came(as_it_is)


@pytest.mark.django_db
def test_meters_are_renewed_and_every_one_is_accounted_for(fleet):
    assert fleet["refusals"] == {}
    assert sum(fleet["states"].values()) == DEVICES
    assert fleet["states"]["confirmed"] == fleet["renewed"]
    assert fleet["renewed"] + fleet["expired_in_service"] + fleet["states"]["withdrawn"] == DEVICES
    assert fleet["expired_reachable"] == 0
    assert fleet["visits"] == sum(fleet["found_at_visits"].values())
    assert fleet["field_interventions"] == fleet["visits"] + fleet["expired_unvisited"]
    # Who waits for a meter to come back by itself still comes in time.
    assert fleet["expired_unvisited"] == 0
    assert fleet["orders_opened"] == sum(fleet["orders_by_outcome"].values())
    # Of 7 % that MQTT does not reach, SMS leaves a fraction to the field team.
    assert 0.01 < fleet["field_share"] < 0.02


@pytest.mark.django_db
def test_of_each_day_it_says_how_far_all_targets_were(fleet):
    assert len(fleet["course"]) == fleet["days"]
    assert all(sum(of_day.values()) == DEVICES for of_day in fleet["course"])
    confirmed = [of_day["confirmed"] for of_day in fleet["course"]]
    assert confirmed == sorted(confirmed)
    assert fleet["course"][-1] == fleet["states"]


@pytest.mark.django_db
def test_without_sms_or_with_a_lead_of_30_days_the_fleet_is_clearly_worse_off(variants):
    as_it_is, without_sms, late = variants
    assert without_sms["field_interventions"] > 2 * as_it_is["field_interventions"]
    assert late["field_interventions"] > as_it_is["field_interventions"]
    # Nobody can be at every meter in 30 days: some end in service, and even some that were on the network once.
    assert as_it_is["expired_unvisited"] == as_it_is["expired_reachable"] == 0
    assert late["expired_unvisited"] >= 3
    assert late["expired_reachable"] > 0


@pytest.mark.django_db
def test_three_seeds_agree(made, fleet, variants):
    as_it_is, *_worse = variants
    share = fleet["field_share"]
    # Five standard deviations: chance alone brings that once in a million times.
    band = 5 * math.sqrt(share * (1 - share) / FEW)
    for other in (as_it_is, made.run(Order(FEW, 2, QUICK))):
        assert abs(other["field_share"] - share) < band


@pytest.mark.django_db
def test_a_simulation_refuses_the_live_database():
    with pytest.raises(LiveDatabase, match=settings.DATABASES["default"]["NAME"]):
        running.run(10, 7, HEADLINE, 1, lambda _line: None)


@pytest.mark.django_db
def test_a_model_that_is_not_what_it_says_reports_nothing(tmp_path):
    file = tmp_path / "scenario.toml"
    file.write_text('[faults]\nno_coverage = { value = 0.3, source = "assumption" }')
    with pytest.raises(CommandError, match="share unreachable in a window"):
        call_command("simulate_fleet", "--devices", "10", "--scenario", str(file))


@pytest.mark.django_db
def test_an_interrupted_simulation_leaves_no_database_behind():
    own = connection.settings_dict["NAME"]
    environment = scratch.environment(own, settings.HOME)
    process = subprocess.Popen(
        [sys.executable, "-m", "django", "simulate_fleet", "--devices", "5000"],
        env=environment,
        cwd=settings.BASE_DIR,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        # Its first line comes from within the run.
        assert "Registering 5,000 meters" in process.stderr.readline()
        assert len(scratch_databases(process.pid)) == 2
        process.send_signal(signal.SIGTERM)
        assert "Nothing is left behind" in process.stderr.read()
    finally:
        process.kill()
        process.wait()
    assert scratch_databases(process.pid) == set()


@pytest.mark.django_db
def test_what_a_crash_left_behind_is_dropped_by_the_next_run(made):
    assert LEFT not in scratch_databases()


@pytest.mark.django_db
def test_the_report_has_what_it_must(fleet):
    sourced = scenario.default()
    told = report.as_json(fleet, model.proven(HEADLINE, 7), sourced, [])
    asked = {"devices", "days", "seed", "field_interventions", "field_share", "expired_in_service"}
    assert {*asked, "expired_reachable", "renewed", "model"} <= set(json.loads(json.dumps(told)))
    assert told["model"]["numbers"]["sms_lost"]["source"].startswith("assumption")
    assert "2,000 meters" in report.as_text(told)
    picture = report.picture(fleet, HEADLINE)
    assert picture.lstrip().startswith("<svg")
    assert "field list opens" in picture
