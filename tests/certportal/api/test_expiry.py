"""Expiry over the API: the numbers of the dashboard, and what jitter would make of a run."""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from inventory.expiry import start_of
from inventory.models import Batch, Certificate, Site
from tests import factories
from tests.factories import DAY
from tests.inventory.counters.planting import plant

EXPIRY = "/api/v1/expiry/"


@pytest.fixture
def planted(db):
    """Five devices end on each of ten days, and sixty of one batch on one day."""
    now = timezone.now()
    fleet = factories.fleet()
    site, batch = Site.objects.create(fleet=fleet, name="Penang"), Batch.objects.create(fleet=fleet, name="B7")
    template = factories.enrolled(now=now, expires_in=95 * DAY).certificate
    for number in range(10):
        plant(template, 5, not_after=start_of(now.date() + (3 * number + 2) * DAY) + DAY / 2, site_id=site.pk)
    plant(template, 60, not_after=start_of(now.date() + 60 * DAY) + DAY / 2, batch_id=batch.pk)
    return now.date()


def get(client, address: str = "", **query: object) -> dict:
    answer = client.get(EXPIRY + address, query)
    assert answer.status_code == 200, answer.content
    return answer.json()


@pytest.mark.parametrize(
    ("axis", "column"),
    [("fleet", "device__fleet__slug"), ("site", "device__site__name"), ("batch", "device__batch__name"),
     ("profile", "profile__slug"), ("authority", "authority__slug")],
)  # fmt: skip
@pytest.mark.parametrize("step", ["day", "week", "month"])
def test_each_count_is_what_sql_counts(reader, planted, axis, column, step):
    found = get(reader, axis=axis, step=step, start=planted, before=planted + 90 * DAY, fleet="demo")
    rows = Certificate.objects.standing().filter(
        not_after__lt=start_of(planted + 90 * DAY), not_after__gte=start_of(planted)
    )
    first = {
        "day": lambda day: day,
        "week": lambda day: max(day - timedelta(days=day.weekday()), planted),
        "month": lambda day: max(day.replace(day=1), planted),
    }[step]
    expected = Counter((first(end.date()).isoformat(), group) for end, group in rows.values_list("not_after", column))
    assert {(each["day"], each["group"]): each["count"] for each in found["counts"]} == expected
    assert found["total"] == 110


def test_a_count_costs_the_same_whatever_it_counts(reader, planted, django_assert_max_num_queries):
    get(reader)
    with django_assert_max_num_queries(6):
        get(reader, axis="batch")


def test_a_cliff_is_named_with_its_cause(reader, planted):
    [cliff] = get(reader, "cliffs/")["cliffs"]
    assert (cliff["day"], cliff["count"], cliff["fleet_size"]) == ((planted + 60 * DAY).isoformat(), 60, 111)
    assert (cliff["cause"]["axis"], cliff["cause"]["name"], cliff["cause"]["count"]) == ("batch", "B7", 60)
    assert get(reader, "cliffs/", fleet="demo")["cliffs"] == [cliff]


def test_jitter_makes_the_largest_day_fall_by_its_factor(reader, db):
    profile = factories.fleet().profile
    profile.jitter_max = 0 * DAY
    profile.save()
    run = {"fleet": "demo", "units_a_day": 3571, "days": 14, "validity_days": profile.validity.days, "jitter_days": 30}
    found = get(reader, "jitter/", **run)
    assert sum(each["count"] for each in found["after"]) == pytest.approx(14 * 3571)
    assert found["factor"] == pytest.approx(found["largest_before"]["count"] / found["largest_after"]["count"])
    assert 1.5 < found["factor"] < 2.5


@pytest.mark.parametrize(
    "query",
    [
        "axis=colour", "step=hour", "start=soon", "start=9999-12-31", "start=0001-01-01", "before=2020-01-01",
        "start=2027-01-01&before=2099-01-01", "fleet=nowhere", "fleet=%00", "day=2027-01-01", "axis=site&axis=batch",
        "axis=",
    ],
)  # fmt: skip
def test_a_bad_question_names_its_parameter(reader, db, query):
    answer = reader.get(f"{EXPIRY}?{query}")
    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()["error"]["details"] or "before" in answer.json()["error"]["details"]


@pytest.mark.parametrize("query", ["", "fleet=demo", "fleet=demo&units_a_day=0&days=1&validity_days=1&jitter_days=0"])
def test_a_run_nobody_can_make_is_refused(reader, db, query):
    factories.fleet()
    assert reader.get(f"{EXPIRY}jitter/?{query}").status_code == 400


def test_a_token_for_something_else_does_not_read_it(client_for, db):
    assert client_for("devices").get(EXPIRY).status_code == 403
