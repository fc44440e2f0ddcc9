"""`fields=`: a row shows what was asked for, and an unknown name is refused."""

import pytest

from certportal.api.scopes import Resource
from inventory.models import AuditEvent
from renewal.models import Target
from tests import factories
from tests.certportal.api.test_resources import campaign


def test_a_list_and_an_object_show_the_fields_asked_for(meter, reader):
    listed = reader.get("/api/v1/devices/?fields=serial,fleet").json()["results"]
    assert listed == [{"fleet": "demo", "serial": meter.device.serial}]
    assert reader.get(f"/api/v1/devices/{meter.device.id}/?fields=site, serial").json() == {
        "serial": meter.device.serial,
        "site": None,
    }


@pytest.mark.parametrize("fields", ["serial,colour", "colour", ",", "serial,", "serial;id", "fleet__slug"])
def test_an_unknown_field_is_refused_with_those_that_there_are(meter, reader, fields):
    for address in ("/api/v1/devices/", f"/api/v1/devices/{meter.device.id}/"):
        answer = reader.get(address, {"fields": fields})
        assert answer.status_code == 400
        assert "Fields are id, fleet, serial, batch" in answer.json()["error"]["details"]["fields"][0]


def test_an_unknown_field_is_refused_where_the_list_is_empty(reader):
    assert reader.get("/api/v1/devices/", {"fields": "colour"}).status_code == 400


@pytest.mark.parametrize("fields", ["", "&fields=device,status"])
def test_a_list_reads_everything_in_the_same_queries_and_never_the_der(
    meter, reader, fields, django_assert_num_queries
):
    reader.get("/api/v1/certificates/")
    with django_assert_num_queries(4) as captured:
        [row] = reader.get(f"/api/v1/certificates/?purpose=device{fields}").json()["results"]
    assert row["device"] == {"id": meter.device.id, "fleet": "demo", "serial": meter.device.serial}
    assert not any('"der"' in query["sql"] for query in captured.captured_queries)


def test_each_field_of_each_list_can_be_asked_for_alone(meter, reader):
    run = campaign(meter.device.fleet, "running")
    Target.objects.create(
        campaign=run, device=meter.device, certificate=meter.certificate, ends_at=meter.certificate.not_after
    )
    description = reader.get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    lists = {
        path.replace("{campaign_id}", str(run.pk)): parameter["schema"]["items"]["enum"]
        for path, operations in description["paths"].items()
        for parameter in operations.get("get", {}).get("parameters", [])
        if parameter["name"] == "fields"
        and not path.endswith("id}/")
        and "{slug}" not in path
        and "{device}" not in path
    }
    # All but counts; receipts, enrolments and secrets are not listed. Targets are a list of their own.
    assert len(lists) == len(Resource.values) - 4 + 1
    for path, names in lists.items():
        [whole] = reader.get(f"{path}?limit=1").json()["results"] or [{}]
        for name in names:
            answer = reader.get(f"{path}?limit=1&fields={name}")
            assert answer.json()["results"] == ([{name: whole[name]}] if whole else []), (path, name)


def test_pages_go_on_with_the_same_fields(meter, reader):
    factories.enrolled()
    first = reader.get("/api/v1/audit-events/?fields=action&limit=1").json()
    second = reader.get(first["next"]).json()
    assert set(second["results"][0]) == {"action"}
    assert AuditEvent.objects.count() > 1


@pytest.mark.parametrize("address", ["export.csv/", "{id}/pem/"])
def test_files_take_no_fields(meter, reader, address):
    path = f"/api/v1/certificates/{address.format(id=meter.certificate.id)}?fields=id"
    assert reader.get(path, headers={"Accept": "*/*"}).status_code == 400
