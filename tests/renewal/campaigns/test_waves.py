"""Waves of a campaign: cut when it is planned, opened by what the wave before has shown, and paused by failures."""

from collections import Counter
from datetime import timedelta

import pytest

from inventory.audit.record import SYSTEM, Actor
from inventory.models import AuditAction, AuditEvent, Device, Site
from inventory.models.audit import ActorKind
from inventory.sightings import record_sighting
from inventory.x509.csr import parse
from renewal import enrolling
from renewal.campaigns import planning, settings, waves
from renewal.campaigns.choosing import Selection
from renewal.campaigns.evidence import answers_for
from renewal.campaigns.freezing import Waves
from renewal.campaigns.ladder import Ladder
from renewal.campaigns.planning import CampaignError, Plan
from renewal.campaigns.settings import Limits, Pace, Settings
from renewal.channels.recording import RecordingChannel
from renewal.models import Campaign, CampaignState, Target, TargetState, Wave
from renewal.models.campaign import ANSWERED_IN_VAIN, UNFINISHED_STATES
from tests.factories import DAY, NOW, Enrolled, fleet
from tests.renewal.campaigns.test_campaigns import renew
from tests.renewal.rows import meters, over_mqtt, tick

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
# One answer without a failure shows that fewer than 80 % fail: waves of a few devices are enough.
LENIENT = Limits(to_open=0.8, to_pause=0.5)
ANNA = Actor(ActorKind.USER, "anna")
pytestmark = pytest.mark.django_db


def cut_campaign(cut: Waves, limits: Limits = LENIENT, *, start: bool = True, patience=10 * HOUR) -> Campaign:
    selection = Selection(fleet(), NOW, NOW + 60 * DAY)
    plan = Plan("Spring", selection, NOW + 50 * DAY, over_mqtt(patience), Settings(limits=limits), cut)
    campaign = planning.plan(plan, now=NOW, actor=SYSTEM)
    if start:
        planning.start(campaign, now=NOW, actor=SYSTEM)
        campaign.refresh_from_db()
    return campaign


def at_sites(*numbers: int) -> list[Enrolled]:
    """Return meters of sites of these sizes, and of none; the certificates end alike."""
    made = meters(sum(numbers))
    rest = list(made)
    for name, number in enumerate(numbers):
        site = Site.objects.create(fleet=fleet(), name=f"Site {name}")
        chosen, rest = rest[:number], rest[number:]
        Device.objects.filter(pk__in=[meter.device.pk for meter in chosen]).update(site=site)
    return made


def use(meter: Enrolled, now) -> None:
    record_sighting(renew(meter, now), meter.device, now=now, actor=SYSTEM)


def be_refused(meter: Enrolled, now) -> None:
    """Ask with the key in use, which the gate refuses."""
    refused = enrolling.renew(
        meter.der, parse(meter.renewal_request(meter.private_key)), label=None, now=now, source_address=None
    )
    assert refused.code == "key_reused"


def opened(campaign: Campaign) -> list[int]:
    return list(campaign.waves.filter(opened_at__isnull=False).values_list("number", flat=True))


def asked(channel: RecordingChannel) -> Counter:
    addresses = [message.address for message in channel.sent]
    return Counter(Target.objects.filter(device__mqtt_id__in=addresses).values_list("wave", flat=True))


def test_a_campaign_is_cut_into_a_canary_of_all_sites_and_waves_of_whole_sites():
    at_sites(10, 10, 10)
    campaign = cut_campaign(Waves(canary=6, size=8))
    assert [(wave.number, wave.size) for wave in campaign.waves.all()] == [(1, 6), (2, 8), (3, 8), (4, 8)]
    by_wave: dict[int, Counter[str]] = {number: Counter() for number in range(1, 5)}
    for number, site in campaign.targets.values_list("wave", "device__site__name"):
        by_wave[number][site] += 1
    assert by_wave[1] == {"Site 0": 2, "Site 1": 2, "Site 2": 2}
    assert [len(by_wave[number]) for number in (2, 3, 4)] == [1, 1, 1]


def test_a_campaign_that_is_not_cut_is_one_wave_that_opens_with_its_start():
    meters(3)
    campaign = cut_campaign(Waves())
    assert [(wave.number, wave.size, wave.opened_at) for wave in campaign.waves.all()] == [(0, 3, NOW)]


def test_only_the_first_wave_is_asked_until_it_has_answered_well():
    everyone = {meter.device.pk: meter for meter in at_sites(4, 4)}
    campaign, channel = cut_campaign(Waves(size=4)), RecordingChannel()
    tick(campaign, NOW, channel)
    assert asked(channel) == {1: 4}
    tick(campaign, NOW + 5 * HOUR, channel)
    assert opened(campaign) == [1]

    for device_ in list(campaign.targets.filter(wave=1).values_list("device", flat=True))[:2]:
        use(everyone[device_], NOW + 6 * HOUR)
    report = tick(campaign, NOW + 6 * HOUR, channel)
    assert report.looked.opened == 2
    assert asked(channel) == {1: 4, 2: 4}
    told = AuditEvent.objects.get(action=AuditAction.CAMPAIGN_WAVE_OPENED)
    assert told.details == {"campaign": campaign.pk, "wave": 2, "targets": 4, "answered": 2, "failed": 0}


def test_a_wave_of_which_most_are_silent_opens_nothing():
    everyone = {meter.device.pk: meter for meter in at_sites(6, 6)}
    campaign, channel = cut_campaign(Waves(size=6)), RecordingChannel()
    tick(campaign, NOW, channel)
    first, *_others = campaign.targets.filter(wave=1).values_list("device", flat=True)
    use(everyone[first], NOW + HOUR)
    # One of six has answered: enough after an hour, too few once the first wait is over.
    for hours in (20, 40, 60):
        tick(campaign, NOW + hours * HOUR, channel)
    assert opened(campaign) == [1]


def test_a_wave_that_fails_opens_nothing_and_pauses_the_campaign_with_its_reason():
    everyone = {meter.device.pk: meter for meter in at_sites(6, 6)}
    campaign, channel = cut_campaign(Waves(size=6), Limits(0.8, 0.1)), RecordingChannel()
    tick(campaign, NOW, channel)
    for device_ in list(campaign.targets.filter(wave=1).values_list("device", flat=True))[:3]:
        be_refused(everyone[device_], NOW + HOUR)
    report = tick(campaign, NOW + HOUR, channel)
    assert [(each.wave, each.failed, each.answered) for each in report.looked.breaches] == [(1, 3, 3)]
    campaign.refresh_from_db()
    assert (campaign.state, campaign.paused_because) == (
        CampaignState.PAUSED,
        [{"wave": 1, "failed": 3, "answered": 3}],
    )
    sent = len(channel.sent)
    tick(campaign, NOW + 30 * HOUR, channel)
    assert len(channel.sent) == sent
    assert opened(campaign) == [1]


def test_two_waves_that_fail_in_one_look_pause_it_once_with_both_reasons():
    everyone = {meter.device.pk: meter for meter in at_sites(4, 4)}
    campaign, channel = cut_campaign(Waves(size=4), Limits(0.8, 0.1)), RecordingChannel()
    tick(campaign, NOW, channel)
    waves.open_next(campaign, now=NOW, actor=ANNA)
    tick(campaign, NOW + 2 * MINUTE, channel)
    for device_ in campaign.targets.values_list("device", flat=True):
        be_refused(everyone[device_], NOW + HOUR)
    tick(campaign, NOW + HOUR, channel)
    tick(campaign, NOW + 2 * HOUR, channel)
    campaign.refresh_from_db()
    assert campaign.paused_because == [
        {"wave": 1, "failed": 4, "answered": 4},
        {"wave": 2, "failed": 4, "answered": 4},
    ]
    assert AuditEvent.objects.filter(action=AuditAction.CAMPAIGN_PAUSED).count() == 1
    assert sum(campaign.targets.values_list("wave", flat=True)) == 4 + 8


def test_who_starts_it_again_excuses_what_was_seen_and_only_new_failures_count():
    everyone = {meter.device.pk: meter for meter in at_sites(8)}
    campaign, channel = cut_campaign(Waves(), Limits(0.8, 0.1)), RecordingChannel()
    tick(campaign, NOW, channel)
    devices = list(campaign.targets.values_list("device", flat=True))
    for device_ in devices[:3]:
        be_refused(everyone[device_], NOW + HOUR)
    tick(campaign, NOW + HOUR, channel)
    campaign.refresh_from_db()
    planning.start(campaign, now=NOW + 2 * HOUR, actor=ANNA)
    tick(campaign, NOW + 2 * HOUR, channel)
    campaign.refresh_from_db()
    assert (campaign.state, campaign.paused_because) == (CampaignState.RUNNING, [])
    for device_ in devices[3:6]:
        be_refused(everyone[device_], NOW + 3 * HOUR)
    tick(campaign, NOW + 3 * HOUR, channel)
    campaign.refresh_from_db()
    assert campaign.paused_because == [{"wave": 0, "failed": 3, "answered": 3}]


def test_a_failure_that_comes_through_after_all_is_none():
    [meter] = meters(1)
    campaign, channel = cut_campaign(Waves()), RecordingChannel()
    tick(campaign, NOW, channel)
    be_refused(meter, NOW + HOUR)
    tick(campaign, NOW + HOUR, channel)
    target = campaign.targets.get()
    assert (target.state, target.refusal) == (TargetState.TRIGGERED, "key_reused")
    use(meter, NOW + 2 * HOUR)
    tick(campaign, NOW + 2 * HOUR, channel)
    target.refresh_from_db()
    assert (target.state, target.refusal) == (TargetState.CONFIRMED, "")


def test_a_refusal_before_the_campaign_is_none_of_it():
    [meter] = meters(1)
    be_refused(meter, NOW - HOUR)
    campaign = cut_campaign(Waves())
    tick(campaign, NOW, RecordingChannel())
    assert campaign.targets.get().refusal == ""


def test_who_got_a_certificate_and_was_not_heard_of_since_counts_as_failed():
    [meter, _other] = meters(2)
    campaign, channel = cut_campaign(Waves()), RecordingChannel()
    tick(campaign, NOW, channel)
    renew(meter, NOW + HOUR)
    tick(campaign, NOW + HOUR, channel)
    assert not campaign.targets.filter(ANSWERED_IN_VAIN).exists()
    tick(campaign, NOW + 12 * HOUR, channel)
    assert campaign.targets.get(ANSWERED_IN_VAIN).device_id == meter.device.pk


def test_a_person_opens_a_wave_whatever_was_shown_and_the_log_says_who():
    at_sites(4, 4, 4)
    campaign, channel = cut_campaign(Waves(size=4)), RecordingChannel()
    assert waves.open_next(campaign, now=NOW, actor=ANNA) == 2
    assert waves.open_next(campaign, now=NOW, actor=ANNA) == 3
    assert waves.open_next(campaign, now=NOW, actor=ANNA) is None
    tick(campaign, NOW + MINUTE, channel)
    assert asked(channel) == {1: 4, 2: 4, 3: 4}
    assert set(Wave.objects.filter(number__gt=1).values_list("opened_by", flat=True)) == {"anna"}


@pytest.mark.parametrize("state", CampaignState)
def test_a_wave_is_opened_by_hand_in_the_states_that_the_contract_says(state):
    at_sites(4, 4)
    campaign = cut_campaign(Waves(size=4))
    Campaign.objects.update(state=state, paused_at=NOW if state == CampaignState.PAUSED else None)
    number = waves.open_next(campaign, now=NOW, actor=ANNA)
    assert number == (2 if state in (CampaignState.RUNNING, CampaignState.PAUSED) else None)
    assert len(opened(campaign)) == (2 if number else 1)


def test_a_wave_that_was_opened_in_a_pause_is_asked_after_it():
    at_sites(4, 4)
    campaign, channel = cut_campaign(Waves(size=4)), RecordingChannel()
    tick(campaign, NOW, channel)
    planning.pause(campaign, now=NOW + HOUR, actor=SYSTEM)
    campaign.refresh_from_db()
    waves.open_next(campaign, now=NOW + 2 * HOUR, actor=ANNA)
    tick(campaign, NOW + 3 * HOUR, channel)
    assert asked(channel) == {1: 4}
    planning.start(campaign, now=NOW + 4 * HOUR, actor=SYSTEM)
    tick(campaign, NOW + 4 * HOUR + MINUTE, channel)
    assert asked(channel) == {1: 4, 2: 4}


@pytest.mark.parametrize("state", CampaignState)
def test_settings_are_changed_in_the_states_that_the_contract_says(state):
    meters(1)
    campaign = cut_campaign(Waves())
    Campaign.objects.update(state=state, paused_at=NOW if state == CampaignState.PAUSED else None)
    wanted = Settings(Pace(77))
    if state in UNFINISHED_STATES:
        assert settings.adjust(campaign, wanted, now=NOW, actor=ANNA)
    else:
        with pytest.raises(settings.NotAdjusted, match=f"The campaign is {state}"):
            settings.adjust(campaign, wanted, now=NOW, actor=ANNA)
    campaign.refresh_from_db()
    assert (campaign.triggers_per_minute == 77) == (state in UNFINISHED_STATES)


def test_waves_that_could_show_nothing_are_refused_with_what_is_right():
    meters(2)
    with pytest.raises(CampaignError, match=f"takes {answers_for(0, 0.02)} answers without a failure"):
        cut_campaign(Waves(canary=50), Limits())


def test_more_waves_than_anybody_can_follow_are_refused(monkeypatch):
    meters(6)
    monkeypatch.setattr("renewal.campaigns.freezing.MOST_WAVES", 3)
    with pytest.raises(CampaignError, match="choose 4 devices or more for each"):
        cut_campaign(Waves(size=1), Limits(0.9, 0.9))
    assert not Campaign.objects.exists()


def test_what_a_wave_shows_is_counted_as_its_parts_say():
    everyone = at_sites(6)
    campaign, channel = cut_campaign(Waves(canary=6)), RecordingChannel()
    tick(campaign, NOW, channel)
    use(everyone[0], NOW + HOUR)
    be_refused(everyone[1], NOW + HOUR)
    tick(campaign, NOW + 5 * HOUR, channel)
    [wave] = campaign.waves.all()
    shown = waves.of_wave(campaign, wave, Ladder.from_json(campaign.ladder), NOW + 5 * HOUR)
    assert (shown.to_ask, shown.answered, shown.failed, shown.able) == (0, 2, 1, 4)
    # Half of six, half of whose first wait is over.
    assert shown.expected == pytest.approx(1.5)
    assert shown.failed == campaign.targets.filter(ANSWERED_IN_VAIN).count()


def test_a_look_costs_two_queries_while_nothing_fails_and_nothing_waits(django_assert_num_queries):
    meters(5)
    campaign = cut_campaign(Waves())
    with django_assert_num_queries(3):
        waves.look(campaign, Ladder.from_json(campaign.ladder), NOW)
    campaign.refresh_from_db()
    with django_assert_num_queries(0):
        waves.look(campaign, Ladder.from_json(campaign.ladder), NOW + 30 * timedelta(seconds=1))
