"""The sweep, on a virtual clock: each (certificate, threshold, level) fires once, late rather than never."""

from collections import Counter
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory.alerts import acknowledgement, digest
from inventory.alerts.sweep import sweep
from inventory.audit.record import SYSTEM, Actor
from inventory.issuing.certificates import Admission, issue
from inventory.models import (
    Alert,
    AlertRun,
    Certificate,
    Delivery,
    Device,
    Mute,
    RevocationReason,
)
from inventory.models.audit import ActorKind
from inventory.sightings import record_sighting
from tests import factories
from tests.certportal.api import rows
from tests.factories import DAY, NOW

pytestmark = pytest.mark.long

OPS = Actor(ActorKind.USER, "ops")


def meter(ends: timedelta = 365 * DAY, **changes: object) -> factories.Enrolled:
    """An intermittent device whose certificate ends so long after NOW."""
    return factories.enrolled(factories.device(connectivity="intermittent", **changes), expires_in=ends)


def renew(enrolled: factories.Enrolled, now: datetime, *, used: bool = True) -> Certificate:
    rules = enrolled.device.fleet.profile
    request = factories.certification_request()
    admission = Admission(
        enrolled.device, rules, enrolled.device.fleet.authority, request, SYSTEM, enrolled.certificate
    )
    made = issue(admission, now=now)
    if used:
        record_sighting(made, enrolled.device, now=now, actor=SYSTEM)
    return made


def revoke(certificate: Certificate, now: datetime) -> None:
    certificate.state, certificate.revoked_at = "revoked", now
    certificate.revocation_reason = RevocationReason.KEY_COMPROMISE
    certificate.save()


def told(recipient: str) -> list[tuple[int, int, int]]:
    """(day of the digest after NOW, threshold, level) of every line that a recipient was told, in order."""
    return [
        ((delivery.created_at - NOW).days, line["threshold"], line["level"])
        for delivery in Delivery.objects.filter(recipient__name=recipient).order_by("created_at")
        for line in delivery.content["devices"]
    ]


def days(first: int, last: int, step: int = 1) -> None:
    for day in range(first, last + 1, step):
        sweep(NOW + day * DAY)


def open_alerts() -> dict[int, tuple[int, bool]]:
    found = Alert.objects.open().filter(urgency=1)
    return {alert.threshold: (alert.level, alert.acknowledged_at is not None) for alert in found}


# --- A year ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def a_year(make_policy):
    """A year of sweeps: one meter that everybody forgets, one whose alerts are acknowledged.

    One a week until the first threshold comes near, for what fired too early would stay; then one a day but for two.
    """
    forgotten, watched = factories.fleet("forgotten"), factories.fleet("watched")
    make_policy(fleet=forgotten, recipients=["ops", "boss"])
    make_policy(fleet=watched, recipients=["day", "night"])
    meter(365 * DAY, fleet=forgotten)
    meter(366 * DAY, fleet=watched)
    for day in [*range(0, 266, 7), *range(266, 305), *range(307, 365)]:  # the workers are down on the days 305 and 306
        sweep(NOW + day * DAY)
        own = Alert.objects.filter(certificate__device__fleet=watched)
        acknowledgement.acknowledge(own, note="seen", now=NOW + day * DAY, actor=OPS)


def test_a_year_fires_each_threshold_and_level_once_late_rather_than_never(a_year):
    # The threshold of 60 days was reached on day 305, the repetition and the boss follow from when it was told.
    assert told("ops") == [(275, 90, 1), (282, 90, 1), (307, 60, 1), (314, 60, 1), (335, 30, 1), (342, 30, 1)]
    assert told("boss") == [
        (289, 90, 2), (296, 90, 2), (303, 90, 2), (321, 60, 2), (328, 60, 2), (349, 30, 2), (356, 30, 2), (363, 30, 2),
    ]  # fmt: skip
    assert told("day") == [(276, 90, 1), (307, 60, 1), (336, 30, 1)]
    assert told("night") == []
    late = {(d.recipient.name, d.created_at - NOW): d.content["devices"][0]["late"] for d in Delivery.objects.all()}
    assert {key for key, count in late.items() if count} == {("ops", 307 * DAY), ("day", 307 * DAY)}
    ends = Counter(Alert.objects.values_list("resolution", flat=True))
    assert ends == {"tightened": 4, "": 2}


def test_what_fires_on_its_day_is_not_late(intermittent):
    meter(90 * DAY)
    sweep(NOW)
    sweep(NOW + 7 * DAY)
    assert [delivery.content["devices"][0]["late"] for delivery in Delivery.objects.order_by("created_at")] == [0, 0]


def test_thresholds_that_passed_during_a_long_downtime_all_fire_once_in_one_digest(intermittent):
    enrolled = meter(365 * DAY)
    sweep(NOW)
    sweep(NOW + 340 * DAY)
    days(341, 345)
    assert told("ops") == [(340, 30, 1)]
    fired = enrolled.certificate.alerts.order_by("threshold").values_list("threshold", "level", "resolution")
    assert list(fired) == [(30, 1, ""), (60, 1, "tightened"), (90, 1, "tightened")]


def test_a_level_is_not_skipped_after_a_long_downtime(intermittent):
    meter(90 * DAY)
    sweep(NOW)
    sweep(NOW + 29 * DAY)
    assert told("ops") == [(0, 90, 1)]
    assert told("boss") == [(29, 90, 2)]


def test_a_certificate_that_ended_before_the_first_sweep_fires_too(intermittent):
    meter(-20 * DAY)
    sweep(NOW)
    assert told("ops") == [(0, 30, 1)]


def test_history_that_is_imported_later_resolves_no_alert(intermittent):
    enrolled = meter(50 * DAY)
    sweep(NOW)
    rows.certificate(enrolled.device, issued_at=NOW - 1500 * DAY, not_after=NOW + 900 * DAY).save()
    assert sweep(NOW + DAY).resolved == 0
    rows.certificate(enrolled.device, issued_at=NOW + DAY, not_after=NOW + 900 * DAY).save()
    assert sweep(NOW + 2 * DAY).resolved > 0


def test_the_first_sweep_again_changes_nothing(intermittent):
    meter(50 * DAY)
    assert sweep(NOW).raised == 2
    before = list(Alert.objects.order_by("id").values())
    again = sweep(NOW + timedelta(minutes=5))
    assert (again.raised, again.told_again, again.resolved, again.digests) == (0, 0, 0, 0)
    assert list(Alert.objects.order_by("id").values()) == before
    assert Delivery.objects.count() == 1


# --- What ends an alert ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("used", [True, False])
def test_a_renewal_stops_the_alert_whether_it_was_used_yet_or_not(intermittent, used):
    enrolled = meter(80 * DAY)
    sweep(NOW)
    renew(enrolled, NOW + DAY, used=used)
    days(2, 79, step=3)
    assert told("ops") == [(0, 90, 1)]
    assert told("boss") == []
    assert enrolled.certificate.alerts.get().resolution == "renewed"


def test_a_renewal_that_was_revoked_makes_the_alert_fire_again(intermittent):
    enrolled = meter(80 * DAY)
    sweep(NOW)
    acknowledgement.acknowledge(Alert.objects.all(), note="", now=NOW, actor=OPS)
    renewed = renew(enrolled, NOW + DAY, used=False)
    sweep(NOW + 2 * DAY)
    revoke(renewed, NOW + 3 * DAY)
    sweep(NOW + 4 * DAY)
    assert told("ops") == [(0, 90, 1), (4, 90, 1)]
    assert open_alerts() == {90: (1, False)}


def test_the_renewed_certificate_has_alerts_of_its_own(intermittent):
    enrolled = meter(20 * DAY)
    sweep(NOW)
    renewed = renew(enrolled, NOW)
    sweep(renewed.not_after - 60 * DAY)
    assert set(renewed.alerts.values_list("threshold", flat=True)) == {60, 90}


def test_a_revocation_stops_the_alert_and_no_threshold_follows(intermittent):
    enrolled = meter(80 * DAY)
    sweep(NOW)
    revoke(enrolled.certificate, NOW + DAY)
    days(2, 60, step=3)
    assert told("ops") == [(0, 90, 1)]
    assert enrolled.certificate.alerts.get().resolution == "revoked"


def test_a_device_out_of_service_is_no_alert_until_it_comes_back(intermittent):
    enrolled = meter(80 * DAY)
    sweep(NOW)
    Device.objects.update(status="suspended")
    days(1, 10)
    assert enrolled.certificate.alerts.get().resolution == "out_of_service"
    Device.objects.update(status="in_service")
    days(11, 12)
    assert told("ops") == [(0, 90, 1), (11, 90, 1)]


def test_expiry_does_not_stop_the_alert(intermittent):
    meter(20 * DAY)
    days(0, 40)
    assert told("boss")[-1][0] > 20
    assert 30 in open_alerts()


# --- Policies --------------------------------------------------------------------------------------------------------


def test_of_several_policies_the_narrowest_applies(make_policy):
    make_policy(thresholds=[90], recipients=["wide"])
    special = factories.fleet("special")
    rules = factories.profile("rules", validity=700 * DAY)
    make_policy(thresholds=[200], recipients=["profile"], profile=rules)
    make_policy(thresholds=[100], recipients=["fleet"], fleet=special)
    Device.objects.all().delete()
    meter(95 * DAY, fleet=special)
    meter(85 * DAY)
    meter(150 * DAY, fleet=factories.fleet("ruled", profile=rules))
    sweep(NOW)
    assert {name: [line[1] for line in told(name)] for name in ("wide", "fleet", "profile")} == {
        "wide": [90],
        "fleet": [100],
        "profile": [200],
    }


def test_a_class_without_a_policy_and_a_disabled_policy_raise_nothing(intermittent):
    factories.enrolled(factories.device(connectivity="daily"), expires_in=10 * DAY)
    intermittent.enabled = False
    intermittent.save()
    meter(10 * DAY)
    assert sweep(NOW).raised == 0


def test_levels_that_were_taken_away_leave_nobody_alone(intermittent):
    meter(90 * DAY)
    days(0, 14)
    assert open_alerts() == {90: (2, False)}
    intermittent.levels.get(number=2).delete()
    days(15, 22)
    assert told("ops")[-1] == (21, 90, 1)


# --- Silence ---------------------------------------------------------------------------------------------------------


def test_a_muted_certificate_is_listed_but_told_only_when_the_mute_has_ended(intermittent):
    enrolled = meter(95 * DAY)
    Mute.objects.create(
        certificate=enrolled.certificate, until=NOW + 20 * DAY, reason="being moved", created_at=NOW, created_by="ops"
    )
    days(0, 19)
    assert open_alerts() == {90: (1, False)}
    assert told("ops") == []
    days(20, 22)
    assert told("ops") == [(20, 90, 1)]


def test_a_muted_fleet_is_not_told_and_its_silence_is_nobodys_fault(intermittent):
    enrolled = meter(90 * DAY)
    sweep(NOW)
    Mute.objects.create(
        fleet=enrolled.device.fleet, until=NOW + 20 * DAY, reason="audit", created_at=NOW, created_by="ops"
    )
    days(1, 35)
    # Silence counts from the end of the mute, and the repetition that was due then comes at once.
    assert told("ops") == [(0, 90, 1), (20, 90, 1), (27, 90, 1), (30, 60, 1)]
    assert told("boss") == []


def test_an_acknowledged_alert_is_silent_until_a_nearer_threshold(intermittent):
    meter(90 * DAY)
    sweep(NOW)
    assert acknowledgement.acknowledge(Alert.objects.all(), note="planned", now=NOW, actor=OPS) == 1
    days(1, 30)
    assert told("ops") == [(0, 90, 1), (30, 60, 1)]
    assert open_alerts() == {60: (1, False)}


# --- One digest ------------------------------------------------------------------------------------------------------


def test_a_recipient_of_many_policies_has_one_digest_a_sweep(make_policy):
    make_policy(recipients=["ops"])
    make_policy("daily", recipients=["ops"], thresholds=[60])
    meter(80 * DAY)
    factories.enrolled(factories.device(connectivity="daily"), expires_in=50 * DAY)
    assert sweep(NOW).digests == 1
    assert [(line["threshold"], line["count"]) for line in Delivery.objects.get().content["devices"]] == [
        (60, 1),
        (90, 1),
    ]


def test_a_digest_counts_all_and_names_only_those_that_end_first(intermittent):
    for number in range(digest.MOST_SHOWN + 5):
        meter((40 + number) * DAY)
    sweep(NOW)
    content = Delivery.objects.get().content
    assert sum(line["count"] for line in content["devices"]) == digest.MOST_SHOWN + 5
    assert len(content["soonest"]) == digest.MOST_SHOWN
    assert content["soonest"] == sorted(content["soonest"], key=lambda row: row["ends_at"])


def test_a_level_without_recipients_raises_alerts_that_are_only_listed(make_policy):
    make_policy(recipients=["ops"]).levels.get().recipients.clear()
    meter(80 * DAY)
    assert sweep(NOW).digests == 0
    assert open_alerts() == {90: (1, False)}


# --- Crashes and company ---------------------------------------------------------------------------------------------


def test_a_sweep_that_died_before_its_digests_were_written_is_told_by_the_next_once(intermittent, monkeypatch):
    meter(80 * DAY)

    class PowerCut(Exception):
        pass

    def cut(*_arguments: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        patch.setattr(digest, "write", cut)
        sweep(NOW)
    assert (Alert.objects.count(), Delivery.objects.count()) == (1, 0)
    assert AlertRun.objects.get().finished_at is None
    sweep(NOW + DAY)
    sweep(NOW + 2 * DAY)
    assert told("ops") == [(1, 90, 1)]


def test_an_alert_that_was_answered_between_crash_and_digest_is_not_told(intermittent):
    meter(80 * DAY)
    run = AlertRun.objects.create(started_at=NOW)
    sweep(NOW)
    Delivery.objects.all().delete()
    AlertRun.objects.update(finished_at=None)
    acknowledgement.acknowledge(Alert.objects.all(), note="", now=NOW, actor=OPS)
    assert digest.write(run, NOW) == 0


def test_sweeps_that_find_nothing_leave_only_the_latest_run(intermittent):
    days(0, 5)
    assert [run.started_at for run in AlertRun.objects.all()] == [NOW + 5 * DAY]


def test_the_number_of_statements_grows_with_batches_only(intermittent):
    for number in range(12):
        meter((40 + number) * DAY)

    def statements(now: datetime, batch: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            sweep(now, batch=batch)
        return sum(1 for query in captured if "SAVEPOINT" not in query["sql"])

    sweep(NOW)
    few = statements(NOW + DAY, 100)
    # 12 certificates and 12 open alerts, in batches of 3: three more batches of each.
    assert statements(NOW + 2 * DAY, 3) == few + 3 * 2
