"""Unexpected sightings as alerts: few, told of at once, and over when nothing more is seen."""

import pytest

from inventory.alerts import unexpected_sightings
from inventory.alerts.sweep import sweep_own
from inventory.alerts.text import digest
from inventory.audit.record import Actor
from inventory.models import Alert, AppliesTo, Delivery
from inventory.models.audit import ActorKind
from inventory.models.sighting import Oddity
from inventory.sightings import Sighting, record_sightings
from inventory.sightings.identifiers import Fingerprint
from tests.factories import DAY, NOW


@pytest.fixture
def told(make_policy):
    return make_policy(AppliesTo.PORTAL, recipients=["ops"], repeat_every=30 * DAY, silence=60 * DAY)


def strangers(count: int, now, reporter: str = "gateway-1") -> None:
    seen = [Sighting(now, Fingerprint(bytes([number % 256]) * 32)) for number in range(count)]
    record_sightings(seen, now, Actor(ActorKind.USER, reporter))


def open_odd() -> list[str]:
    return list(
        Alert.objects.open().filter(kind="unexpected_sighting").order_by("about").values_list("about", flat=True)
    )


def test_any_number_of_strangers_at_one_door_is_one_alert_and_one_line(told):
    strangers(200, NOW)
    strangers(1, NOW, "gateway-2")
    sweep_own(NOW)
    assert open_odd() == ["unknown gateway-1", "unknown gateway-2"]
    [content] = Delivery.objects.values_list("content", flat=True)
    lines = digest(content, NOW).lines
    assert sum("gateway-1 met certificates or devices that nobody here knows" in line for line in lines) == 1


def test_it_is_raised_once_while_more_is_seen_and_settles_when_nothing_is(told):
    strangers(1, NOW)
    for day in range(6):
        sweep_own(NOW + day * DAY)
    strangers(2, NOW + 6 * DAY)
    sweep_own(NOW + 6 * DAY)
    alert = Alert.objects.get()
    assert alert.ends_at == NOW + 6 * DAY + unexpected_sightings.SETTLES_AFTER
    sweep_own(NOW + 13 * DAY)
    assert open_odd() == ["unknown gateway-1"]
    sweep_own(NOW + 13 * DAY + DAY / 24)
    assert open_odd() == []
    assert (Alert.objects.get().resolution, Delivery.objects.count()) == ("settled", 1)


@pytest.mark.parametrize("oddity", Oddity)
@pytest.mark.parametrize("source", ["gateway-1", "ops: gateway 1", "a"])
def test_its_subject_says_what_is_wrong_and_who_reported_it(oddity, source):
    assert unexpected_sightings.parts(unexpected_sightings.about(oddity, source)) == (oddity, source)
