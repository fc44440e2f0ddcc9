"""Which gateway serves a fleet, and what quiet hours, daily caps and trouble let through."""

from collections import Counter
from datetime import datetime, time, timedelta

import pytest

from inventory.models import Site
from renewal.channels import capacity, routes, trouble
from renewal.channels.console import last
from renewal.channels.messages import Delivery, Fate
from renewal.channels.sealing import SecretUnreadable, opened, sealed
from renewal.models import Channel, ChannelTrouble, Driver, Gateway, GatewayDay
from tests.factories import DAY, NOW, fleet
from tests.renewal.channels.gateways import HOUR, SECRET, attempts, gateway, message

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
NO_SMSC = {"host": "127.0.0.1", "port": 9, "tls": False, "system_id": "x", "system_type": ""}


def route(now=NOW, channel=Channel.SMS):
    return routes.route(channel, fleet().pk, lambda: now)


def room(channel: Channel, wanted: int, now: datetime, fleet_id: int) -> int:
    way = routes.route(channel, fleet_id, lambda: now)
    return way.room(wanted, now) if way else 0


def note(channel: Channel, deliveries: list[Delivery], now: datetime, fleet_id: int) -> datetime:
    way = routes.route(channel, fleet_id, lambda: now)
    assert way
    return way.note(deliveries, now)


def fates(deliveries):
    return Counter(delivery.fate for delivery in deliveries)


def test_a_fleet_has_its_own_gateway_before_that_of_all_and_none_that_is_disabled():
    everybody = gateway(name="all")
    assert Gateway.objects.serving(Channel.SMS, fleet().pk) == everybody
    own = gateway(name="own", fleet=fleet())
    assert Gateway.objects.serving(Channel.SMS, fleet().pk) == own
    assert Gateway.objects.serving(Channel.SMS, fleet("other").pk) == everybody
    assert Gateway.objects.serving(Channel.SMS, None) == everybody
    Gateway.objects.update(enabled=False)
    assert Gateway.objects.serving(Channel.SMS, fleet().pk) is None


def test_without_a_gateway_there_is_no_sms_and_mqtt_goes_to_the_broker_of_the_portal():
    assert route() is None
    assert room(Channel.SMS, 10, NOW, fleet().pk) == 0
    assert isinstance(route(channel=Channel.MQTT), routes.PlainWay)
    assert room(Channel.MQTT, 10, NOW, fleet().pk) == 10


def test_references_name_the_gateway_and_the_text_is_that_of_the_gateway():
    made = gateway(text="{device} of {fleet}: renew before {renew_before} at {est_url}, {campaign}")
    [delivery] = route().send([message(3)])
    assert (delivery.fate, delivery.reference) == (Fate.TAKEN, f"{made.pk}:3")
    [kept] = last(made.pk)
    assert kept.text == "M0003 of demo: renew before 2027-03-31 at https://est.example/demo, 7"


def test_the_daily_cap_holds_for_all_campaigns_and_begins_anew_with_the_day():
    made = gateway(daily_cap=5)
    assert room(Channel.SMS, 100, NOW, fleet().pk) == 5
    deliveries = route().send([message(number) for number in range(3)])
    assert room(Channel.SMS, 100, NOW, fleet().pk) == 2
    # Whoever asked for room before the others used it.
    deliveries = route().send([message(number) for number in range(4)])
    assert fates(deliveries) == {Fate.TAKEN: 2, Fate.NEVER_LEFT: 2}
    held = [delivery for delivery in deliveries if delivery.held]
    assert {(each.detail, each.retry_at) for each in held} == {
        ("the daily cap of the gateway is reached", NOW + 12 * HOUR)
    }
    assert capacity.sent_today(made, NOW) == 5
    assert room(Channel.SMS, 100, NOW, fleet().pk) == 0
    assert room(Channel.SMS, 100, NOW + 12 * HOUR, fleet().pk) == 5
    assert fates(route(NOW + 12 * HOUR).send([message()])) == {Fate.TAKEN: 1}


def test_what_never_left_uses_up_no_day():
    gateway(Driver.SMPP, daily_cap=5, settings=NO_SMSC)
    assert fates(route().send([message()])) == {Fate.NEVER_LEFT: 1}
    assert GatewayDay.objects.get().sent == 0


def test_quiet_hours_are_in_the_time_of_each_site_and_end_there(settings):
    settings.TIME_ZONE_OF_SITES = "Europe/Paris"
    gateway(quiet_from=time(21), quiet_to=time(7))
    there = attempts(3)
    for attempt, zone in zip(there, ("Asia/Kolkata", ""), strict=False):
        site = Site.objects.create(fleet=fleet(), name=f"site {zone}", time_zone=zone)
        type(attempt.target.device).objects.filter(pk=attempt.target.device_id).update(site=site)
    # 17:30 UTC: 23:00 in Kolkata, 18:30 in Paris.
    now = NOW + 5.5 * HOUR
    said = {each.attempt: each for each in route(now).send([message(attempt.pk) for attempt in there])}
    assert [said[attempt.pk].fate for attempt in there] == [Fate.NEVER_LEFT, Fate.TAKEN, Fate.TAKEN]
    held = said[there[0].pk]
    assert (held.held, held.retry_at) == (True, NOW.replace(hour=1, minute=30) + DAY)
    # 20:30 UTC: night in Paris too.
    assert fates(route(NOW + 8.5 * HOUR).send([message(attempt.pk) for attempt in there])) == {Fate.NEVER_LEFT: 3}


def test_what_the_portal_holds_back_is_no_trouble_of_the_gateway():
    gateway(quiet_from=time(11), quiet_to=time(13))
    deliveries = route().send([message()])
    assert note(Channel.SMS, deliveries, NOW, fleet().pk) == NOW + HOUR
    assert not ChannelTrouble.objects.exists()


def test_trouble_belongs_to_a_gateway_and_is_told_by_its_name():
    own, everybody = gateway(name="own", fleet=fleet()), gateway(name="all")
    failed = [Delivery(1, Fate.NEVER_LEFT, "the gateway answered 500")]
    assert note(Channel.SMS, failed, NOW, fleet().pk) == NOW + MINUTE
    assert room(Channel.SMS, 100, NOW, fleet().pk) == 0
    assert room(Channel.SMS, 100, NOW + MINUTE, fleet().pk) == trouble.PROBE
    assert room(Channel.SMS, 100, NOW, fleet("other").pk) == 100
    assert [str(each) for each in ChannelTrouble.objects.all()] == ["own"]
    assert [concern.about for concern in trouble.concerns(NOW + 5 * MINUTE)] == ["own"]
    note(Channel.SMS, [Delivery(2, Fate.TAKEN)], NOW + MINUTE, fleet().pk)
    assert not ChannelTrouble.objects.exists()
    assert (own.key, everybody.key) == (f"gateway-{own.pk}", f"gateway-{everybody.pk}")


def test_numbers_that_are_refused_are_no_trouble_and_end_none():
    gateway()
    refused = [Delivery(number, Fate.REFUSED, "the gateway answered 400") for number in range(20)]
    note(Channel.SMS, refused, NOW, fleet().pk)
    assert not ChannelTrouble.objects.exists()
    # It refuses whoever comes: the rest was kept, and it is given few numbers to refuse from then on.
    kept = Delivery(21, Fate.NEVER_LEFT, "the gateway refuses every message: the gateway answered 400")
    note(Channel.SMS, [*refused, kept], NOW, fleet().pk)
    assert room(Channel.SMS, 100, NOW, fleet().pk) == 0
    note(Channel.SMS, refused[: trouble.PROBE], NOW + MINUTE, fleet().pk)
    assert ChannelTrouble.objects.get().next_try_at == NOW + 3 * MINUTE


def test_a_gateway_that_asks_for_patience_gets_it_up_to_six_hours():
    gateway()
    for asked, given in ((2 * HOUR, 2 * HOUR), (30 * HOUR, 6 * HOUR)):
        ChannelTrouble.objects.all().delete()
        busy = [Delivery(1, Fate.NEVER_LEFT, "the gateway answered 429", retry_at=NOW + asked)]
        assert note(Channel.SMS, busy, NOW, fleet().pk) == NOW + given


def test_a_secret_lies_encrypted_and_one_of_another_key_is_told(settings):
    stored = sealed(SECRET)
    assert SECRET.encode() not in stored
    assert opened(stored) == SECRET
    assert opened(None) == ""
    gateway(Driver.SMPP, settings=NO_SMSC)
    settings.SECRET_KEY = "another"
    with pytest.raises(SecretUnreadable):
        opened(stored)
    [delivery] = route().send([message()])
    assert (delivery.fate, "Type it anew" in delivery.detail) == (Fate.NEVER_LEFT, True)


def test_sending_costs_the_same_queries_whatever_the_number(django_assert_num_queries):
    gateway(daily_cap=10_000, quiet_from=time(1), quiet_to=time(2))
    for number in (1, 500):
        channel = route()
        with django_assert_num_queries(6):  # of them a savepoint and its end
            channel.send([message(each) for each in range(number)])
