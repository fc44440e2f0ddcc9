"""ETags: what the client has is not sent again, and the tag changes when what it names does."""

import pytest

from inventory.models import Device


@pytest.mark.parametrize("address", ["devices/{id}/", "devices/", "devices/{id}/?fields=serial"])
def test_what_the_client_has_is_not_sent_again(meter, reader, address):
    path = f"/api/v1/{address.format(id=meter.device.id)}"
    first = reader.get(path)
    assert first.headers["Cache-Control"] == "private, no-cache"
    for known in (first.headers["ETag"], f'"other", W/{first.headers["ETag"]}', "*"):
        again = reader.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert reader.get(path, headers={"If-None-Match": '"other"'}).json() == first.json()


def test_the_tag_changes_with_what_is_shown(meter, reader):
    path = f"/api/v1/devices/{meter.device.id}/"
    first = reader.get(path).headers["ETag"]
    assert reader.get(path).headers["ETag"] == first
    Device.objects.update(mqtt_id="m-1")
    second = reader.get(path, headers={"If-None-Match": first})
    assert (second.status_code, second.json()["mqtt_id"]) == (200, "m-1")
    assert second.headers["ETag"] != first


def test_a_refusal_has_no_tag(reader):
    assert "ETag" not in reader.get("/api/v1/devices/0/").headers
