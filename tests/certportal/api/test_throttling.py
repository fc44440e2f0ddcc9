"""So many requests a minute for each client; and none when nobody can count."""

from django.core.cache import cache
from rest_framework.test import APIClient

from certportal.api.scopes import Resource

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
