"""The description of the API: complete, without warnings, and readable on a page without the internet."""

import gzip
import json

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from certportal.api.scopes import Resource


@pytest.fixture
def schema(db):
    answer = APIClient().get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})
    return json.loads(answer.content)


@pytest.fixture
def plain_static_files(settings):
    """Static files as they are: a test collects none."""
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


def test_the_schema_has_no_warnings(tmp_path):
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "schema.yaml"))


@pytest.mark.parametrize("accept", ["application/vnd.oai.openapi", "application/vnd.oai.openapi+json"])
def test_the_description_is_built_once_a_process_and_not_sent_again_to_who_has_it(db, monkeypatch, accept):
    first = APIClient().get("/api/schema/", headers={"Accept": accept})
    assert first.headers["Content-Type"].startswith(accept)

    def built_again(*_args, **_kwargs):
        raise AssertionError("the description was built a second time")

    monkeypatch.setattr("drf_spectacular.generators.SchemaGenerator.get_schema", built_again)
    second = APIClient().get("/api/schema/", headers={"Accept": accept})
    assert second.content == first.content
    has = {"Accept": accept, "If-None-Match": first.headers["ETag"]}
    third = APIClient().get("/api/schema/", headers=has)
    assert (third.status_code, third.content) == (304, b"")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [("application/json, application/yaml", "application/json"), ("*/*", "application/vnd.oai.openapi")],
)
def test_the_page_of_the_documentation_is_given_json_and_others_what_they_were(db, accept, media_type):
    answer = APIClient().get("/api/schema/", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == media_type


def test_the_description_is_sent_compressed_to_who_takes_it_so(db):
    headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
    whole = APIClient().get("/api/schema/", headers={"Accept": "application/json"})
    sent = APIClient().get("/api/schema/", headers=headers)
    assert sent.headers["Content-Encoding"] == "gzip" and len(sent.content) * 10 < len(whole.content)
    assert gzip.decompress(sent.content) == whole.content
    again = APIClient().get("/api/schema/", headers={**headers, "If-None-Match": sent.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_every_resource_is_described_with_its_list_and_its_objects(schema):
    for resource in Resource.values:
        assert f"/api/v1/{resource}/" in schema["paths"]
        # Counts are no objects; receipts are told, enrolments asked for, secrets shown once: they are not read.
        if resource not in {"expiry", "receipts", "enrolments", "enrolment-secrets"}:
            assert any(path.startswith(f"/api/v1/{resource}/{{") for path in schema["paths"])


def test_every_operation_describes_its_parameters_and_its_errors(schema):
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            assert operation["description"], path
            assert operation["responses"]["default"]["content"]["application/json"]["schema"] == {
                "$ref": "#/components/schemas/Error"
            }
            for parameter in operation.get("parameters", []):
                assert parameter["in"] == "path" or parameter.get("description"), (path, parameter["name"])


def test_the_names_of_vocabularies_stay(schema):
    vocabularies = {name for name, component in schema["components"]["schemas"].items() if "enum" in component}
    assert vocabularies - {"BlankEnum"} == {
        "ActorKind",
        "AlertKind",
        "AlertChannel",
        "AlertPolicyScope",
        "AlertResolution",
        "AuditAction",
        "CampaignState",
        "CaseOutcome",
        "CaseVerdict",
        "CertificateStatus",
        "Connectivity",
        "DeviceStatus",
        "EnrolmentOutcome",
        "EnrolmentProtocol",
        "ExpiryAxis",
        "ExpiryBucket",
        "GatewayDriver",
        "ImportEncoding",
        "ImportFormat",
        "ImportLink",
        "ImportProduct",
        "ImportState",
        "KeyType",
        "Oddity",
        "ProposalKind",
        "ProposalState",
        "Purpose",
        "ReceiptResult",
        "RevocationReason",
        "RowOutcome",
        "SavedList",
        "SecretOutcome",
        "SeenKeyType",
        "SightingOutcome",
        "TargetReason",
        "TargetState",
        "TriggerChannel",
        "WorkOrderFinding",
        "WorkOrderOutcome",
    }


@pytest.mark.parametrize("address", ["/api/schema/?lang=%00", "/api/schema/?version=2", "/api/docs/?lang=xx"])
def test_the_description_takes_no_parameters(plain_static_files, db, address):
    assert APIClient().get(address).status_code == 400


def test_the_page_loads_everything_from_this_host(plain_static_files, db):
    page = APIClient().get("/api/docs/")
    assert page.status_code == 200
    text = page.content.decode()
    assert "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js" in text
    assert "//cdn" not in text
    script = APIClient().get("/api/docs/?script=")
    assert script.headers["Content-Type"].startswith("application/javascript")
    assert "/api/schema/" in script.content.decode()


def policy(address: str) -> dict[str, set[str]]:
    """Return the sources of each directive; their order means nothing."""
    directives = APIClient().get(address).headers["Content-Security-Policy"].split(";")
    return {name: set(sources) for name, *sources in (directive.split() for directive in directives)}


def test_only_the_page_has_a_relaxed_policy_and_its_scripts_stay_strict(plain_static_files, db):
    page, schema = policy("/api/docs/"), policy("/api/schema/")
    assert page["style-src"] == {"'self'", "'unsafe-inline'"}
    assert page["img-src"] == {"'self'", "data:"}
    assert page["script-src"] == {"'self'"}
    assert page == {**schema, "style-src": page["style-src"], "img-src": page["img-src"]}
    assert schema["style-src"] == schema["img-src"] == {"'self'"}
