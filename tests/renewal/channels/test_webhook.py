"""Triggers as signed webhooks: a batch a request, an answer for each message where the backend gives one."""

import base64
import hashlib
import hmac
import json
from collections import Counter

import pytest

from renewal.channels.messages import Fate
from renewal.channels.webhook import Webhook, signing_secret
from tests.factories import NOW
from tests.renewal.channels.gateways import answered, http_server, message

pytestmark = pytest.mark.usefixtures("loopback")
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def channel(url, seconds=10.0):
    return Webhook(url=f"{url}/triggers", secret=SECRET, clock=lambda: NOW, seconds=seconds)


def test_a_batch_is_one_signed_request_with_all_that_a_backend_needs():
    with http_server(lambda *_: answered(204)) as server:
        deliveries = channel(server.url).send([message(number, "") for number in (1, 2)])
    assert [(each.attempt, each.fate) for each in deliveries] == [(1, Fate.TAKEN), (2, Fate.TAKEN)]
    [asked] = server.requests
    first = json.loads(asked.body)["data"]["messages"][0]
    assert first == {
        "attempt": 1, "fleet": "demo", "device": "M0001", "campaign": 7, "renew_before": "2027-03-31T12:00:00+00:00",
        "est_url": "https://est.example/demo", "valid_until": "2027-03-02T12:00:00+00:00",
    }  # fmt: skip
    # As a receiver computes it, from the text of the specification.
    signed = f"{asked.headers['webhook-id']}.{asked.headers['webhook-timestamp']}.".encode() + asked.body
    right = base64.b64encode(hmac.new(b"k" * 32, signed, hashlib.sha256).digest()).decode()
    assert asked.headers["webhook-signature"] == f"v1,{right}"
    assert asked.headers["webhook-timestamp"] == str(int(NOW.timestamp()))


def test_a_backend_answers_for_each_message_and_what_it_does_not_name_it_took():
    said = {
        "results": [
            {"attempt": 1, "result": "refused", "detail": "no such meter"},
            {"attempt": 2, "result": "not_sent", "detail": "no coverage"},
            {"attempt": 3, "result": "taken", "reference": "q-3"},
            {"attempt": 4, "result": "nonsense"},
            {"attempt": 99, "result": "refused"},
            "junk",
        ]
    }
    with http_server(lambda *_: answered(200, json.dumps(said).encode())) as server:
        deliveries = channel(server.url).send([message(number, "") for number in range(1, 6)])
    assert [(each.fate, each.detail, each.reference) for each in deliveries] == [
        (Fate.REFUSED, "no such meter", "1"),
        (Fate.NEVER_LEFT, "no coverage", "2"),
        (Fate.TAKEN, "", "q-3"),
        (Fate.TAKEN, "", ""),
        (Fate.TAKEN, "", ""),
    ]


@pytest.mark.parametrize("status", [400, 401, 404, 500, 302])
def test_a_backend_that_refuses_the_request_refuses_no_device(status):
    with http_server(lambda *_: answered(status)) as server:
        deliveries = channel(server.url).send([message(number, "") for number in range(1200)])
    assert Counter(each.fate for each in deliveries) == {Fate.NEVER_LEFT: 1200}
    assert len(server.requests) == 1


def test_a_backend_that_hangs_has_one_batch_in_doubt():
    def hang(_request, wire):
        wire.recv(1)

    with http_server(hang) as server:
        deliveries = channel(server.url, seconds=0.5).send([message(number, "") for number in range(1200)])
    assert Counter(each.fate for each in deliveries) == {Fate.IN_DOUBT: 500, Fate.NEVER_LEFT: 700}


def test_the_signing_secret_follows_from_the_gateway_and_its_number():
    assert signing_secret(1, 1) == signing_secret(1, 1) != signing_secret(1, 2) != signing_secret(2, 1)
