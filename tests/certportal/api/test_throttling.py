"""So many requests a minute for each client; and none when nobody can count."""

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

from certportal.api.scopes import Resource
from tests.certportal.api.conftest import client_with

FLEETS = "/api/v1/fleets/"


def test_beyond_the_limit_a_token_waits_for_the_next_minute(client_for, settings):
    settings.API_REQUESTS_PER_MINUTE = 3
    client = client_for()
    assert [client.get(FLEETS).status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = client.get(FLEETS)
    assert answer.json()["error"]["code"] == "throttled"
    assert "More than 3 requests in this minute." in answer.json()["error"]["message"]
    assert 1 <= int(answer.headers["Retry-After"]) <= 60


def test_one_token_does_not_use_up_what_another_may(client_for, settings):
    settings.API_REQUESTS_PER_MINUTE = 1
    busy, other = client_for(name="busy"), client_for(name="other")
    assert [busy.get(FLEETS).status_code for _ in range(2)] == [200, 429]
    assert other.get(FLEETS).status_code == 200


def test_strangers_are_counted_by_address_and_cannot_choose_it(db, settings):
    settings.API_ANONYMOUS_REQUESTS_PER_MINUTE = 1
    client = APIClient()
    assert client.get("/api/schema/").status_code == 200
    assert client.get("/api/schema/", headers={"X-Forwarded-For": "192.0.2.9"}).status_code == 429
    assert client.get("/api/schema/", REMOTE_ADDR="192.0.2.8").status_code == 200


WRONG = "cpt_" + "0" * 64


@pytest.mark.parametrize("headers", [{}, {"Authorization": f"Bearer {WRONG}"}, {"Authorization": "Bearer x"}])
def test_requests_without_a_good_token_are_counted_although_they_are_refused(db, settings, headers):
    settings.API_ANONYMOUS_REQUESTS_PER_MINUTE = 2
    client = APIClient(headers=headers)
    assert [client.get(FLEETS).status_code for _ in range(3)] == [401, 401, 429]
    assert 1 <= int(client.get(FLEETS).headers["Retry-After"]) <= 60


def test_wrong_tokens_behind_the_same_address_stop_no_good_one(client_for, settings):
    settings.API_ANONYMOUS_REQUESTS_PER_MINUTE = 1
    good = client_for()
    stranger = client_with(WRONG)
    assert [stranger.get(FLEETS).status_code for _ in range(3)] == [401, 429, 429]
    assert good.get(FLEETS).status_code == 200


def test_what_a_token_may_not_is_counted_as_its_own(client_for, settings):
    settings.API_REQUESTS_PER_MINUTE = 2
    client = client_for("devices")
    assert [client.get(FLEETS).status_code for _ in range(3)] == [403, 403, 429]
    assert client_for("devices", name="other").get(FLEETS).status_code == 403


def test_a_refusal_after_a_request_was_counted_counts_once(client_for, settings):
    settings.API_REQUESTS_PER_MINUTE = 2
    client = client_for()
    assert [client.get(FLEETS, {"nothing": 1}).status_code for _ in range(3)] == [400, 400, 429]


def test_a_network_of_ipv6_counts_as_one_stranger(db, settings):
    settings.API_ANONYMOUS_REQUESTS_PER_MINUTE = 1
    answers = [APIClient().get(FLEETS, REMOTE_ADDR=f"2001:db8::{number}").status_code for number in (1, 2)]
    assert answers == [401, 429]
    assert APIClient().get(FLEETS, REMOTE_ADDR="2001:db8:0:1::1").status_code == 401


def test_without_its_counter_the_api_refuses_and_says_when_to_come_back(reader, settings):
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "unix:///nonexistent/valkey.sock",
        }
    }
    cache.close()
    for resource in Resource.values:
        answer = reader.get(f"/api/v1/{resource}/")
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "limiter_unavailable"
        assert answer.headers["Retry-After"] == "10"
