"""Every refusal under /api/ has the one shape, says what to do next, and none is a 500."""

import json
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certportal.api import errors
from inventory.lists.filters import AuditEventFilter, CertificateFilter, DeviceFilter, FleetFilter
from revocation.api import CrlFilter

ADDRESSES = [
    "/api/v1/fleets/",
    "/api/v1/devices/",
    "/api/v1/certificates/",
    "/api/v1/profiles/",
    "/api/v1/authorities/",
    "/api/v1/sightings/",
    "/api/v1/campaigns/",
    "/api/v1/crls/",
    "/api/v1/audit-events/",
]


def error_of(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"
    body: dict[str, Any] = answer.json()
    assert list(body) == ["error"]
    assert set(body["error"]) == {"code", "message", "details"}
    assert body["error"]["message"].rstrip("/").rstrip()
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.parametrize(
    "path",
    [
        "",
        "v1",
        "v2/devices/",
        "v1/nothing/",
        "v1/certificates/x/",
        "v1/devices/%0A1/",
        "v1/devices/1/2/",
        "%00",
        "%ff",
        "v1/\u0661",
    ],
)
def test_an_unknown_address_is_a_json_404(reader, path):
    assert error_of(reader.get(f"/api/{path}"), 404)["code"] == "not_found"


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_an_unknown_address_asks_nobody_for_a_cookie(db, method):
    answer = getattr(Client(enforce_csrf_checks=True), method)("/api/v1/devices/x/")
    assert error_of(answer, 404)["code"] == "not_found"


def test_options_are_answered_at_every_address_by_its_name(reader):
    for address in [*ADDRESSES, "/api/v1/expiry/jitter/", "/api/v1/imports/"]:
        answer = reader.options(address)
        assert (answer.status_code, "actions" in answer.json()) == (200, False)


def test_a_missing_slash_is_pointed_out(reader):
    error = error_of(reader.get("/api/v1/devices"), 404)
    assert error["message"] == "The API has no address /api/v1/devices. It ends with a slash: /api/v1/devices/"


@pytest.mark.parametrize(
    "path",
    [
        "fleets/none/",
        "devices/0/",
        "certificates/9223372036854775808/",
        f"certificates/{'9' * 400}/",
        f"campaigns/{'9' * 400}/targets/",
        "certificates/1/der/",
    ],
)
def test_an_object_that_is_not_there_is_a_json_404(reader, path):
    assert error_of(reader.get(f"/api/v1/{path}"), 404)["message"].startswith(f"There is nothing at /api/v1/{path}")


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_a_method_that_is_not_answered_names_those_that_are(reader, method):
    answer = getattr(reader, method)("/api/v1/certificates/")
    error = error_of(answer, 405)
    assert error["message"] == f"{method.upper()} is not answered at this address. It answers GET, HEAD, OPTIONS."
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_a_media_type_that_is_not_offered_names_those_that_are(reader):
    error = error_of(reader.get("/api/v1/devices/", headers={"Accept": "text/csv"}), 406)
    assert "It offers application/json." in error["message"]


def test_a_refused_download_is_json_too(reader):
    answer = reader.get("/api/v1/certificates/0/der/", headers={"Accept": "application/pkix-cert"})
    assert error_of(answer, 404)


def test_a_fault_of_ours_is_json_under_the_api_and_a_page_elsewhere(rf):
    answer = errors.server_error(rf.get("/api/v1/devices/"))
    assert answer.status_code == 500
    assert json.loads(answer.content)["error"]["code"] == "server_error"
    assert errors.server_error(rf.get("/admin/")).headers["Content-Type"].startswith("text/html")


def test_what_django_refuses_before_any_view_is_json_under_the_api(db):
    client = Client(headers={"Host": "elsewhere.example"})
    assert error_of(client.get("/api/v1/devices/"), 400)["code"] == "bad_request"
    assert client.get("/admin/").headers["Content-Type"].startswith("text/html")


PARAMETERS = sorted(
    {"cursor", "limit", "ordering"}.union(
        *(
            filters.base_filters
            for filters in (FleetFilter, DeviceFilter, CertificateFilter, AuditEventFilter, CrlFilter)
        )
    )
)


@given(
    address=st.sampled_from(ADDRESSES),
    query=st.dictionaries(
        st.sampled_from(PARAMETERS) | st.text(max_size=5),
        st.text(max_size=30) | st.integers().map(str) | st.datetimes().map(str) | st.floats().map(str),
        min_size=1,
        max_size=3,
    ),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_query_string_is_answered_with_anything_but_a_list_or_a_refusal(reader, settings, address, query):
    settings.API_REQUESTS_PER_MINUTE = 10**9
    answer = reader.get(address, {k: v.encode("utf-8", "surrogatepass") for k, v in query.items()})
    assert answer.status_code == 200 or error_of(answer, 400)


@given(raw=st.binary(max_size=60))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_in_a_query_string_are_a_500(reader, settings, raw):
    settings.API_REQUESTS_PER_MINUTE = 10**9
    answer = reader.get("/api/v1/certificates/", QUERY_STRING=raw.decode("latin-1"))
    assert answer.status_code == 200 or error_of(answer, 400)
