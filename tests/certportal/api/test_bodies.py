"""Bodies that are too large, too deep or no JSON are refused before anything is done with them."""

import pytest

from tests import factories

ADDRESSES = [("post", "/api/v1/devices/"), ("patch", "/api/v1/devices/"), ("patch", "/api/v1/devices/{}/")]


@pytest.fixture
def send(client_for):
    writer = client_for("devices:write", permissions="", name="ops")
    device = factories.device()

    def sent(method: str, address: str, body: str):
        act = getattr(writer, method)
        return act(address.format(device.pk), body, content_type="application/json", headers={"If-Match": "*"})

    return sent


@pytest.mark.parametrize(("method", "address"), ADDRESSES)
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("[" + " " * 3_000_000 + "]", 413, "body_too_large"),
        ("[" * 200_000, 400, "parse_error"),
        ("{", 400, "parse_error"),
        ('{"latitude": NaN}', 400, "parse_error"),
        (f'{{"latitude": {"9" * 5000}}}', 400, "parse_error"),
    ],
)
def test_a_body_that_cannot_be_taken(send, method, address, body, status, code):
    answer = send(method, address, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
