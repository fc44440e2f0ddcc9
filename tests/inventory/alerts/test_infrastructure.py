"""The portal's own certificates, authorities and CRLs: alerts that come first."""

from datetime import timedelta

import pytest

from inventory.alerts.conditions import Concern, report
from inventory.alerts.sweep import sweep, sweep_own
from inventory.alerts.text import digest
from inventory.audit.record import SYSTEM
from inventory.issuing.authority_lifetimes import earliest_retirement, last_full_moment
from inventory.issuing.certificates import InfrastructureRequest, issue_infrastructure
from inventory.models import Alert, AlertKind, AppliesTo, Delivery, Fleet, Mute, Purpose
from tests import factories
from tests.factories import DAY, NOW

YEAR = 365 * DAY
SECOND = timedelta(seconds=1)


@pytest.fixture
def portal(make_policy):
    return make_policy(AppliesTo.PORTAL, recipients=["ops", "boss"], repeat_every=DAY, silence=2 * DAY)


def tls_server(now):
    request = InfrastructureRequest(
        Purpose.TLS_SERVER, factories.key().public_key(), "device plane", 90 * DAY, ("localhost",)
    )
    return issue_infrastructure(request, factories.authority(), now=now, actor=SYSTEM)


def open_own() -> list[tuple[str, str, int]]:
    found = Alert.objects.open().filter(urgency=0).order_by("about", "threshold")
    return list(found.values_list("kind", "about", "threshold"))


def test_an_own_certificate_is_an_alert_before_its_end_and_settled_by_its_successor(portal):
    tls_server(NOW)
    sweep(NOW + 85 * DAY)
    assert open_own() == []
    sweep(NOW + 85 * DAY + SECOND)
    assert open_own() == [("own_expiry", "tls_server CN=device plane", 5)]
    tls_server(NOW + 86 * DAY)
    sweep(NOW + 87 * DAY)
    assert open_own() == []
    assert Alert.objects.get().resolution == "settled"


def test_a_nearer_threshold_takes_over_and_is_told_even_when_the_first_was_acknowledged(portal):
    tls_server(NOW)
    sweep(NOW + 86 * DAY)
    Alert.objects.update(acknowledged_at=NOW, acknowledged_by="ops")
    sweep(NOW + 89 * DAY + SECOND)
    sweep(NOW + 90 * DAY + SECOND)
    assert [content["portal"][0]["about"] for content in Delivery.objects.values_list("content", flat=True)] == [
        "tls_server CN=device plane"
    ] * 3
    fired = Alert.objects.order_by("threshold").values_list("threshold", "resolution")
    assert list(fired) == [(0, ""), (1, "tightened"), (5, "tightened")]


def test_own_alerts_repeat_and_climb_like_all_others(portal):
    tls_server(NOW)
    for hour in range(0, 4 * 24, 6):
        sweep(NOW + 85 * DAY + SECOND + timedelta(hours=hour))
    levels = [d.content["portal"][0]["level"] for d in Delivery.objects.order_by("created_at")]
    # The second threshold is reached on the last day and begins with the first level.
    assert levels == [1, 1, 2, 2]


def test_the_portals_own_come_first_in_a_digest(portal, make_policy):
    make_policy(recipients=["ops"])
    factories.enrolled(factories.device(connectivity="intermittent"), expires_in=20 * DAY, now=NOW + 86 * DAY)
    tls_server(NOW)
    now = NOW + 86 * DAY
    sweep(now)
    [content] = Delivery.objects.filter(recipient__name="ops").values_list("content", flat=True)
    words = digest(content, now)
    assert words.lines[0] == "First of all:"
    assert "device plane" in words.lines[1]
    assert words.subject.startswith("certportal: 1 urgent matter, 1 device certificate ends")


def test_an_authority_is_an_alert_a_year_before_its_end(portal):
    ends = factories.authority().x509.not_valid_after_utc
    sweep(ends - YEAR)
    assert open_own() == []
    sweep(ends - YEAR + SECOND)
    assert open_own() == [("own_expiry", "authority CN=Test mfg-1,O=Test", 365)]


@pytest.mark.parametrize("years", [5, 8, 10])
def test_an_intermediate_warns_on_the_day_it_can_no_longer_sign_three_years_and_a_renewal_lead(portal, years):
    rules = factories.profile("three-years", validity=3 * YEAR, jitter_max=30 * DAY, renewal_window=90 * DAY)
    authority = factories.authority(f"years-{years}")
    own_certificate = authority.certificate
    own_certificate.not_after = NOW + years * YEAR
    own_certificate.save()
    factories.fleet("three", authority=authority, profile=rules)
    day = NOW + years * YEAR - 3 * YEAR - 30 * DAY - 90 * DAY
    sweep(day - SECOND)
    assert open_own() == []
    sweep(day)
    assert open_own() == [("authority_too_short", f"Test years-{years}", 0)]
    Fleet.objects.update(authority=factories.authority("next"))
    sweep(day + DAY)
    assert open_own() == []


def test_the_last_full_moment_is_pure_arithmetic():
    given = {"validity": 3 * YEAR, "jitter_max": 30 * DAY, "renewal_lead": 90 * DAY}
    assert last_full_moment(NOW + 5 * YEAR, **given) == NOW + 2 * YEAR - 120 * DAY


@pytest.mark.django_db
def test_the_earliest_retirement_is_the_end_of_the_last_certificate():
    factories.enrolled(expires_in=30 * DAY)
    last = factories.enrolled(expires_in=300 * DAY)
    authority = factories.authority()
    assert earliest_retirement(authority, NOW) == last.certificate.not_after
    assert earliest_retirement(factories.root(), NOW) == NOW


def test_what_a_package_above_reports_is_raised_once_and_settled_when_it_is_gone(portal):
    late = Concern(AlertKind.CRL, "mfg-1/0", NOW + DAY, 1)
    assert report([AlertKind.CRL], [late], NOW) == 1
    assert report([AlertKind.CRL], [late], NOW) == 0
    sweep(NOW)
    assert ("crl", "mfg-1/0", 1) in open_own()
    ended = Concern(AlertKind.CRL, "mfg-1/0", NOW + DAY, 0)
    report([AlertKind.CRL], [ended], NOW + DAY)
    sweep(NOW + DAY)
    report([AlertKind.CRL], [], NOW + 2 * DAY)
    assert list(Alert.objects.order_by("-threshold").values_list("threshold", "resolution")) == [
        (1, "tightened"),
        (0, "settled"),
    ]
    report([AlertKind.CRL], [late], NOW + 3 * DAY)
    assert open_own() == [("crl", "mfg-1/0", 1)]
    assert Delivery.objects.filter(recipient__name="ops").count() == 2


def test_a_mute_of_one_thing_silences_that_thing_only(portal):
    Mute.objects.create(about="mfg-1/0", until=NOW + DAY, reason="known", created_at=NOW - DAY, created_by="ops")
    crls = [Concern(AlertKind.CRL, about, NOW + DAY, 1) for about in ("mfg-1/0", "mfg-1/1")]
    report([AlertKind.CRL], crls, NOW)
    sweep(NOW)
    [content] = Delivery.objects.values_list("content", flat=True)
    assert [row["about"] for row in content["portal"]] == ["mfg-1/1"]


def test_without_a_policy_for_its_own_nothing_is_raised_and_nothing_breaks(db):
    tls_server(NOW)
    sweep(NOW + 89 * DAY)
    assert not Alert.objects.exists()


def test_the_portals_own_are_told_without_waiting_for_the_sweep_of_the_fleet(
    portal, make_policy, django_assert_max_num_queries
):
    make_policy(recipients=["ops"])
    factories.enrolled(factories.device(connectivity="intermittent"), expires_in=20 * DAY)
    report([AlertKind.CRL], [Concern(AlertKind.CRL, "mfg-1/0", NOW + DAY, 1)], NOW)
    with django_assert_max_num_queries(32):
        assert sweep_own(NOW).digests == 1
    assert open_own() == [("crl", "mfg-1/0", 1)]
    assert not Alert.objects.filter(urgency=1).exists()
