"""A message that the operator keeps for a day waits for the wake of who sleeps for three days."""

from datetime import time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.audit.record import SYSTEM
from inventory.models import Connectivity, Device, DevicePresence, Site
from inventory.sightings.wakes import Expected
from renewal import story
from renewal.admin.campaign import waiting_rows
from renewal.board import waiting
from renewal.board.waiting import Waiting
from renewal.campaigns import planning
from renewal.campaigns.aiming import aim
from renewal.campaigns.claiming import claim
from renewal.campaigns.ladder import Rung, Send, Situation, next_step
from renewal.models import Attempt, Campaign, Channel, Target
from tests.factories import DAY, NOW, fleet, note_last_seen
from tests.renewal.campaigns.test_campaigns import renew
from tests.renewal.campaigns.test_rungs import Portal, with_phone
from tests.renewal.rows import ladder_of, running_campaign
from tests.renewal.test_story import said

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
SLEEP = 72 * HOUR
SMS = ladder_of(Rung(Channel.SMS, SLEEP, 6, DAY))
ONLY_SMS = frozenset({Channel.SMS})


def slept(*meters, last_wake, period=SLEEP, number=8):
    """Let meters have woken `number` times, at last at `last_wake`."""
    for meter in meters:
        note_last_seen({meter.device: last_wake})
        minutes = [round((last_wake - each * period).timestamp() / 60) for each in range(number)]
        DevicePresence.objects.filter(device=meter.device).update(wakes=minutes)


def hours_sent(portal: Portal) -> list[float]:
    return [(at - NOW) / HOUR for at in Attempt.objects.order_by("id").values_list("at", flat=True)]


@pytest.mark.django_db
@pytest.mark.parametrize(("wakes_at", "leaves_at"), [(5, 0), (23, 0), (30, 18), (50, 38), (60, 48), (70, 58)])
def test_one_message_reaches_who_sleeps_for_three_days(wakes_at, leaves_at):
    [meter] = with_phone(1)
    slept(meter, last_wake=NOW + wakes_at * HOUR - SLEEP)
    portal = Portal(running_campaign(ladder=SMS))
    portal.tick_hours(0, wakes_at)
    assert hours_sent(portal) == [leaves_at]
    [message] = portal.sms.sent
    assert message.valid_until >= NOW + wakes_at * HOUR
    renew(meter, NOW + wakes_at * HOUR)
    portal.tick_hours(wakes_at + 1, wakes_at + 24)
    assert len(portal.sms.sent) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("number", [0, 3])
def test_without_a_forecast_one_message_follows_the_other(number):
    [meter] = with_phone(1)
    if number:
        slept(meter, last_wake=NOW - 20 * HOUR, number=number)
    portal = Portal(running_campaign(ladder=SMS))
    portal.tick_hours(0, 80)
    assert hours_sent(portal) == [0, 24, 48, 72]


@pytest.mark.django_db
@pytest.mark.parametrize(("wakes_at", "hours"), [(30, [18, 42, 66]), (50, [38, 62]), (70, [58])])
def test_who_did_not_show_up_is_asked_as_without_a_forecast_for_the_rest_of_the_wait(wakes_at, hours):
    [meter] = with_phone(1)
    slept(meter, last_wake=NOW + wakes_at * HOUR - SLEEP)
    portal = Portal(running_campaign(ladder=SMS))
    portal.tick_hours(0, 200)
    sent = hours_sent(portal)
    assert [hour for hour in sent if hour <= 72] == hours
    # Each round takes as long as it did, a message's validity more at most; in the next none waits for a wake.
    next_round = [hour for hour in sent if hour > 72]
    assert next_round[0] <= 96
    assert [later - earlier for earlier, later in pairwise(next_round[:3])] == [24, 24]
    assert Attempt.objects.exclude(wake_expected_at=None).count() == 1


@pytest.mark.django_db
def test_who_was_seen_since_is_waited_for_again():
    [meter] = with_phone(1)
    slept(meter, last_wake=NOW - 22 * HOUR)
    portal = Portal(running_campaign(ladder=SMS))
    portal.tick_hours(0, 85)
    # It was restarted, as its wakes show since, and did not renew.
    slept(meter, last_wake=NOW + 85 * HOUR)
    portal.tick_hours(86, 160)
    woken = list(Attempt.objects.order_by("id").values_list("wake_expected_at", flat=True))
    assert woken == [NOW + 50 * HOUR, None, NOW + 157 * HOUR]


@pytest.mark.django_db
def test_target_message_and_page_of_the_device_say_which_wake_is_waited_for():
    [meter] = with_phone(1)
    slept(meter, last_wake=NOW - 22 * HOUR)
    portal = Portal(running_campaign(ladder=SMS))
    portal.tick(0)
    target = Target.objects.get()
    assert (target.wake_expected_at, target.next_step_at) == (NOW + 50 * HOUR, NOW + 38 * HOUR)
    assert said(target) == (
        "SMS waits for the wake expected at 2027-03-03 14:00 UTC: campaign “Spring” sends trigger 1 on "
        "2027-03-03 02:00, in 38 h."
    )
    portal.tick(38)
    target.refresh_from_db()
    assert (target.wake_expected_at, target.rung_attempts, target.attempts_made) == (None, 2, 1)
    assert Attempt.objects.get().wake_expected_at == NOW + 50 * HOUR
    assert any("for the wake expected at 2027-03-03 14:00 UTC" in moment.why for moment in story.past(meter.device))


@pytest.mark.django_db
def test_the_board_counts_who_is_asleep_and_says_when_most_should_be_awake():
    everyone = with_phone(5)
    for number, meter in enumerate(everyone):
        slept(meter, last_wake=NOW + (number * 10 - 60) * HOUR)
    campaign = running_campaign(ladder=SMS)
    Portal(campaign).tick(0)
    # They wake at 12, 22, 32, 42 and 52; the first two were asked at once.
    assert waiting.counts(campaign) == {Waiting.ASLEEP: 3, Waiting.SMS: 2}
    [asleep, _asked] = waiting_rows(campaign)
    assert (asleep.count, asleep.url.rpartition("?")[2]) == (3, f"campaign={campaign.pk}&waiting=asleep")
    assert asleep.label.endswith("; nine in ten should be awake by 2027-03-03 16:00 UTC")
    assert waiting.most_awake_by(campaign, 1) == NOW + 32 * HOUR


@pytest.mark.django_db
def test_a_device_that_renews_meanwhile_waits_for_no_wake():
    [meter] = with_phone(1)
    slept(meter, last_wake=NOW - 22 * HOUR)
    portal = Portal(running_campaign(ladder=SMS))
    portal.tick(0)
    renew(meter, NOW + HOUR)
    portal.tick(2)
    assert Target.objects.get().wake_expected_at is None
    assert portal.sent == (0, 0)


@pytest.mark.django_db
def test_who_wakes_before_its_message_left_still_gets_it_when_it_was_due():
    [meter] = with_phone(1)
    slept(meter, last_wake=NOW - 22 * HOUR)
    portal = Portal(running_campaign(ladder=SMS))
    portal.tick_hours(0, 20)
    slept(meter, last_wake=NOW + 20 * HOUR)
    portal.tick_hours(21, 38)
    assert hours_sent(portal) == [38]


@pytest.mark.django_db
def test_a_pause_over_the_wake_has_the_message_wait_for_the_next_one_and_none_leaves_in_it():
    [meter] = with_phone(1)
    slept(meter, last_wake=NOW - 22 * HOUR)
    portal = Portal(running_campaign(ladder=SMS))
    portal.tick(0)
    planning.pause(portal.campaign, now=NOW + HOUR, actor=SYSTEM)
    portal.tick_hours(2, 60)
    portal.campaign.refresh_from_db()
    planning.start(portal.campaign, now=NOW + 61 * HOUR, actor=SYSTEM)
    portal.campaign.refresh_from_db()
    assert portal.sent == (0, 0)
    # 37 hours were left to wait, which end at hour 98. The next wakes are at 122 and 194.
    portal.tick_hours(61, 122)
    assert len(portal.sms.sent) == 1
    assert portal.sms.sent[0].valid_until >= NOW + 122 * HOUR


@pytest.mark.django_db
def test_a_message_for_a_wake_leaves_in_the_window_of_the_site():
    [meter] = with_phone(1)
    slept(meter, last_wake=NOW - 22 * HOUR)
    site = Site.objects.create(fleet=fleet(), name="north", time_zone="UTC")
    Device.objects.filter(pk=meter.device.pk).update(site=site)
    campaign = running_campaign(ladder=SMS)
    # Noon is open; the middle, at 02:00 of the second night, is not.
    Campaign.objects.filter(pk=campaign.pk).update(window_from=time(8), window_to=time(20))
    portal = Portal(campaign)
    portal.tick_hours(0, 50)
    assert hours_sent(portal) == [44]


@pytest.mark.django_db
@pytest.mark.parametrize("number", [1, 12])
def test_the_number_of_queries_does_not_grow_with_the_devices(number, django_assert_num_queries):
    slept(*with_phone(number), last_wake=NOW - 22 * HOUR)
    campaign = Campaign.objects.get(pk=running_campaign(ladder=SMS).pk)
    # The situations, whether it still runs, and of those whose message may wait their wakes; then they are put off.
    with django_assert_num_queries(6):
        claims = claim(campaign, SMS, Channel.SMS, ONLY_SMS, 1000, NOW)
    assert (claims.messages, claims.looked_at) == ([], number)
    assert Target.objects.filter(next_step_at=NOW + 38 * HOUR).count() == number


def step_of(*rungs: Rung, rung: int = 0, made: int = 0) -> Send:
    step = next_step(Situation(Connectivity.DAILY, rung, made, ONLY_SMS), ladder_of(*rungs))
    assert isinstance(step, Send)
    return step


def test_no_message_waits_when_that_would_leave_too_little_time_for_those_after_it():
    step = step_of(Rung(Channel.SMS, SLEEP, 6, DAY))
    wake = Expected(NOW + 50 * HOUR, 15 * MINUTE)
    # It leaves at hour 38 in place of one other, and four follow.
    assert aim(step, wake, NOW + 38 * HOUR + 5 * DAY, NOW)
    assert aim(step, wake, NOW + 38 * HOUR + 5 * DAY - MINUTE, NOW) is None


def test_no_message_waits_for_a_wake_that_comes_after_the_wait_or_is_too_uncertain_for_its_validity():
    step = step_of(Rung(Channel.SMS, SLEEP, 6, DAY))
    assert aim(step, Expected(NOW + 71 * HOUR, HOUR), NOW + 60 * DAY, NOW)
    assert aim(step, Expected(NOW + 71 * HOUR, HOUR + MINUTE), NOW + 60 * DAY, NOW) is None
    assert aim(step, Expected(NOW + 50 * HOUR, 12 * HOUR + MINUTE), NOW + 60 * DAY, NOW) is None


spans = st.integers(60, 14 * 24 * 60).map(lambda minutes: minutes * MINUTE)


@given(
    patience=spans,
    validity=spans,
    attempts=st.integers(1, 50),
    made=st.integers(0, 49),
    comes=st.timedeltas(timedelta(0), 20 * DAY),
    within=st.timedeltas(15 * MINUTE, 3 * DAY),
    left=st.timedeltas(MINUTE, 200 * DAY),
    window=st.none() | st.just((time(8), time(20))),
)
def test_whoever_waits_gets_a_message_that_lasts_over_its_wake_and_not_after_the_wait(
    patience, validity, attempts, made, comes, within, left, window
):
    made %= attempts
    step = step_of(Rung(Channel.SMS, patience, attempts, validity), made=made)
    wake = Expected(NOW + comes, within)
    found = aim(step, wake, NOW + left, NOW, window, "UTC")
    if found is None:
        return
    assert NOW < found.at <= wake.at - within
    assert wake.at + within <= found.at + validity
    assert wake.at + within <= NOW + step.rest <= NOW + patience
    # It would not have lasted so long, had it left at once; and it is still this rung's turn afterwards.
    assert NOW + validity < wake.at + within
    assert 0 <= found.stands_for < attempts - made
    assert found.at + validity <= NOW + left
    if window:
        assert window[0] <= found.at.time() < window[1]
    later = step_of(Rung(Channel.SMS, patience, attempts, validity), made=made + found.stands_for)
    assert (later.rung, later.channel) == (step.rung, step.channel)
    assert later.attempts == step.attempts + found.stands_for


def test_messages_that_are_kept_for_as_long_as_they_are_waited_for_never_wait():
    assert all(step_of(Rung(Channel.SMS, SLEEP, 3, validity)).rest <= validity for validity in (SLEEP, 2 * SLEEP))
