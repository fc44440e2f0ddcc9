"""When certificates end, over the API: counts by bucket and group, cliffs with their cause, jitter tried."""

from datetime import timedelta

import pytest
from django.utils import timezone

from inventory.models import Batch, Certificate, Site
from tests import factories
from tests.certportal.api import rows
from tests.factories import DAY

EXPIRY = "/api/v1/expiry/"


@pytest.fixture
def today():
    return timezone.now().replace(hour=12, minute=0, second=0, microsecond=0)


@pytest.fixture
def fleet(db, today):
    """Forty devices of which fifteen stand in the north; thirty certificates end in ten days, one a day after that."""
    fleet = factories.fleet()
    north, batch = Site.objects.create(fleet=fleet, name="North"), Batch.objects.create(fleet=fleet, name="B1")
    devices = rows.devices(40, fleet)
    for number, device in enumerate(devices):
        device.site = north if number < 15 else None
        device.batch = batch if number < 30 else None
        device.save()
    ends = [today + max(10, number - 19) * DAY for number in range(40)]
    Certificate.objects.bulk_create(
        rows.certificate(device, not_after=end) for device, end in zip(devices, ends, strict=True)
    )
    return fleet


def day(moment) -> str:
    return moment.date().isoformat()


def test_what_ends_is_counted_by_day_and_group(fleet, reader, today):
    body = reader.get(EXPIRY).json()
    assert (body["by"], body["bucket"], body["groups"]) == ("fleet", "day", 1)
    assert (body["start"], body["end"]) == (day(today), day(today + 90 * DAY))
    [group] = body["results"]
    assert (group["id"], group["name"], group["total"]) == (fleet.pk, "demo", 40)
    assert group["buckets"][0] == {"start": day(today + 10 * DAY), "end": day(today + 11 * DAY), "count": 30}
    assert len(group["buckets"]) == 11
    assert sum(bucket["count"] for bucket in group["buckets"]) == 40


def test_groups_come_largest_first_and_what_has_none_is_one(fleet, reader, today):
    body = reader.get(EXPIRY, {"by": "site", "fleet": "demo", "bucket": "month"}).json()
    assert [(group["name"], group["total"]) for group in body["results"]] == [(None, 25), ("North", 15)]
    assert reader.get(EXPIRY, {"by": "batch", "groups": 1}).json()["groups"] == 2
    assert len(reader.get(EXPIRY, {"by": "batch", "groups": 1}).json()["results"]) == 1
    factories.fleet("other")
    assert reader.get(EXPIRY, {"fleet": "other"}).json()["results"] == []


def test_ranges_are_half_open(fleet, reader, today):
    span = {"ends_after": day(today + 10 * DAY), "ends_before": day(today + 11 * DAY)}
    assert reader.get(EXPIRY, span).json()["results"][0]["total"] == 30


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({"fleet": "none"}, "fleet"),
        ({"by": "colour"}, "by"),
        ({"bucket": "hour"}, "bucket"),
        ({"groups": "0"}, "groups"),
        ({"groups": "101"}, "groups"),
        ({"ends_after": "soon"}, "ends_after"),
        ({"ends_after": "9999-12-31"}, "ends_after"),
        ({"ends_after": "2027-03-01", "ends_before": "2027-03-01"}, "ends_before"),
        ({"ends_after": "2027-03-01", "ends_before": "2050-03-01"}, "ends_before"),
        ({"ends_after": "2027-03-01", "ends_before": "2030-03-01"}, "bucket"),
        ({"limit": "5"}, "limit"),
    ],
)
def test_a_question_that_has_no_answer_is_refused(fleet, reader, question, field):
    answer = reader.get(EXPIRY, question)
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, [field])


@pytest.mark.parametrize(
    ("query", "field"),
    [("by=site&by=batch", "by"), ("by=", "by"), ("fleet=%00", "fleet"), ("fleet=%ff", "fleet"),
     ("ends_after=0001-01-01", "ends_after")],
)  # fmt: skip
def test_a_parameter_that_is_repeated_empty_or_no_text_is_refused_as_in_lists(reader, query, field):
    answer = reader.get(f"{EXPIRY}?{query}")
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, [field])


def test_cliffs_are_named_with_their_cause(fleet, reader, today):
    [cliff] = reader.get(f"{EXPIRY}cliffs/?fleet=demo").json()["results"]
    assert (cliff["fleet"], cliff["day"], cliff["count"], cliff["fleet_size"]) == (
        "demo",
        day(today + 10 * DAY),
        30,
        40,
    )
    assert (cliff["cause"]["by"], cliff["cause"]["name"], cliff["cause"]["count"]) == ("batch", "B1", 30)
    assert reader.get(f"{EXPIRY}cliffs/?by=site").status_code == 400


def test_jitter_is_tried_without_changing_anything(fleet, reader):
    body = {"fleet": "demo", "units_a_day": 3571, "days": 14, "first_day": "2027-03-01", "jitter_days": 30}
    answer = reader.post(f"{EXPIRY}jitter/", {**body, "validity_days": 365}, format="json")
    assert answer.status_code == 200, answer.content
    found = answer.json()
    assert found["factor"] == pytest.approx(2.14, abs=0.01)
    assert found["before"]["jitter_max"] == "P0DT00H00M00S"
    assert (found["after"]["jitter_max"], found["after"]["validity"]) == ("P30DT00H00M00S", "P365DT00H00M00S")
    for lifetimes in (found["before"], found["after"]):
        assert sum(day["count"] for day in lifetimes["histogram"]) == pytest.approx(14 * 3571)
        assert lifetimes["largest_day"] in lifetimes["histogram"]
    assert not found["clamped"]
    fleet.profile.refresh_from_db()
    assert fleet.profile.jitter_max == timedelta(0)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"fleet": "none"}, "fleet"),
        ({"units_a_day": 0}, "units_a_day"),
        ({"units_a_day": "5"}, "units_a_day"),
        ({"days": 401}, "days"),
        ({"jitter_days": -1}, "jitter_days"),
        ({"first_day": "9999-12-31"}, "first_day"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_run_nobody_can_make_is_refused(fleet, reader, changes, field):
    body = {"fleet": "demo", "units_a_day": 10, "days": 1, "first_day": "2027-03-01", "jitter_days": 30, **changes}
    answer = reader.post(f"{EXPIRY}jitter/", body, format="json")
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, [field])


def test_counts_are_for_who_may_see_certificates(fleet, client_for):
    assert client_for("expiry", name="a").post(f"{EXPIRY}jitter/", {}, format="json").status_code == 400
    assert client_for("devices", name="b").get(EXPIRY).status_code == 403
    assert client_for(permissions="view_device", name="c").get(EXPIRY).status_code == 403
    assert client_for(permissions="view_device", name="d").post(f"{EXPIRY}jitter/").status_code == 403


@pytest.mark.parametrize(
    ("by", "column"),
    [("fleet", "device__fleet_id"), ("site", "device__site_id"), ("batch", "device__batch_id"),
     ("profile", "profile_id"), ("authority", "authority_id")],
)  # fmt: skip
@pytest.mark.parametrize("bucket", ["day", "week", "month"])
def test_each_count_is_what_sql_counts(fleet, reader, today, by, column, bucket):
    found = reader.get(EXPIRY, {"by": by, "bucket": bucket}).json()["results"]
    ends = list(Certificate.objects.of_devices().standing().values_list(column, "not_after"))
    shown = {(group["id"], each["start"], each["end"]): each["count"] for group in found for each in group["buckets"]}
    assert sum(shown.values()) == len(ends) == 40
    for (group, start, end), count in shown.items():
        assert count == sum(of == group and start <= day(moment) < end for of, moment in ends)


def test_counts_cost_the_same_whatever_they_count(fleet, reader, django_assert_max_num_queries):
    reader.get(EXPIRY)
    with django_assert_max_num_queries(6):
        reader.get(EXPIRY, {"by": "batch"})
