"""What a person is told of a campaign before it starts."""

from datetime import timedelta

import pytest

from inventory.models import Connectivity, Device
from renewal.campaigns import preflight
from renewal.campaigns.ladder import Ladder, Rung
from renewal.campaigns.preflight import Doubt, Group, load
from renewal.campaigns.settings import Pace
from renewal.channels.recording import RecordingChannel
from renewal.models import Campaign, Channel
from tests.factories import DAY, NOW, device, enrolled, fleet, note_last_seen
from tests.renewal.rows import meters, planned_campaign, running_campaign, tick

HOUR = timedelta(hours=1)
pytestmark = pytest.mark.django_db
LADDER = Ladder(
    {
        Connectivity.DAILY: (Rung(Channel.MQTT, DAY, 2, DAY), Rung(Channel.SMS, DAY, 3, DAY)),
        Connectivity.ALWAYS_ON: (Rung(Channel.MQTT, HOUR, 1, HOUR),),
    }
)


def looked_at(campaign: Campaign) -> preflight.Preflight:
    found = Campaign.objects.select_related("fleet__profile", "fleet__authority__certificate").get(pk=campaign.pk)
    return preflight.look(found, NOW)


def fine(name: str, **changes) -> Device:
    made = device(name, **{"mqtt_id": name, "phone_number": f"+60123{sum(name.encode()):06}", **changes})
    note_last_seen({made: NOW - DAY})
    return made


def test_each_doubt_counts_its_targets_and_names_exactly_these(django_assert_num_queries):
    enrolled(fine("fine"))
    enrolled(fine("bare", mqtt_id="", phone_number=""))
    enrolled(fine("mute", phone_number=""))
    enrolled(fine("deaf", mqtt_id="", connectivity=Connectivity.ALWAYS_ON))
    enrolled(device("never", mqtt_id="never", phone_number="+60123999999"))
    enrolled(fine("late"), expires_in=4 * DAY)
    campaign = planned_campaign(ladder=LADDER)
    campaign.targets.filter(device__serial="fine").update(ends_at=NOW + 400 * DAY)
    late = campaign.targets.get(device__serial="late")
    campaign.targets.create(
        device=device("ended", mqtt_id="ended", phone_number="+60123888888"), certificate=late.certificate, ends_at=NOW
    )
    found = Campaign.objects.select_related("fleet__profile", "fleet__authority__certificate").get(pk=campaign.pk)
    with django_assert_num_queries(3):
        looked = preflight.look(found, NOW)
    serials = {doubt: {target.device.serial for target in preflight.in_doubt(found, doubt, NOW)} for doubt in Doubt}
    assert serials == {
        Doubt.ENDED: {"ended"},
        Doubt.TOO_LATE: {"late"},
        Doubt.TOO_EARLY: {"fine"},
        Doubt.NO_CHANNEL: {"bare", "deaf"},
        Doubt.NO_PHONE: {"bare", "mute"},
        Doubt.UNSEEN: {"never", "ended"},
    }
    assert looked.doubts == {doubt: len(names) for doubt, names in serials.items()}


def test_a_campaign_without_doubts_has_none():
    enrolled(fine("fine"))
    looked = looked_at(planned_campaign(ladder=LADDER))
    assert (looked.doubts, looked.elsewhere) == ({}, [])


def test_certificates_that_another_campaign_has_are_told_with_its_name():
    meters(3)
    first = running_campaign()
    enrolled(fine("new"))
    looked = looked_at(planned_campaign(ladder=LADDER))
    assert [(each.campaign.pk, each.count) for each in looked.elsewhere] == [(first.pk, 3)]


def test_an_issuer_that_ends_before_a_full_length_is_told():
    meters(1)
    campaign = planned_campaign()
    assert looked_at(campaign).shortened_to is None
    own = fleet()
    end = own.authority.x509.not_valid_after_utc
    own.profile.validity = end - NOW + DAY
    own.profile.save()
    assert looked_at(campaign).shortened_to == end


def test_the_load_is_what_leaves_when_nobody_answers():
    groups = [
        Group(Connectivity.DAILY, frozenset({Channel.MQTT, Channel.SMS}), 100),
        Group(Connectivity.DAILY, frozenset({Channel.SMS}), 10),
        Group(Connectivity.ALWAYS_ON, frozenset({Channel.MQTT}), 5),
        Group(Connectivity.INTERMITTENT, frozenset({Channel.MQTT}), 7),
    ]
    found = load(groups, LADDER, 23)
    assert found.messages == {Channel.MQTT: 2 * 100 + 5, Channel.SMS: 3 * 100 + 3 * 10}
    assert found.first_round == timedelta(minutes=5)
    # Waits double on each rung: 1 and 2 days, then 1, 2 and 4.
    assert found.climbed_in == 10 * DAY


def test_the_load_is_what_a_silent_campaign_really_sends():
    for number in range(3):
        enrolled(fine(f"M{number}"), expires_in=59 * DAY)
    campaign = running_campaign(ladder=LADDER, pace=Pace(1000))
    expected = looked_at(campaign).load.messages
    mqtt, sms = RecordingChannel(), RecordingChannel()
    for hour in range(0, 24 * 40, 6):
        tick(campaign, NOW + hour * HOUR, mqtt, sms=sms)
    assert expected == {Channel.MQTT: len(mqtt.sent), Channel.SMS: len(sms.sent)}
