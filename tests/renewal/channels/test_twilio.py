"""SMS in the shape of Twilio's API, and its status callbacks."""

import json

import pytest

from renewal.channels.messages import Fate
from renewal.channels.twilio import Twilio, callback_path, is_signed
from tests.factories import NOW
from tests.renewal.channels.gateways import HOUR, SECRET, answered, http_server, message

CALLBACK = "https://portal.example/receipts/twilio/3/"


def channel(url, **changes):
    values = {
        "account_sid": "AC1", "api": url, "callback": CALLBACK, "sender": "+31600000000", "text": "{device}",
        "secret": SECRET, "clock": lambda: NOW,
    }  # fmt: skip
    return Twilio(**values | changes)


@pytest.mark.usefixtures("loopback")
def test_a_message_is_posted_as_twilio_wants_it_and_its_sid_is_the_reference():
    with http_server(lambda *_: answered(201, b'{"sid": "SM1", "status": "queued"}')) as server:
        [delivery] = channel(server.url).send([message()])
        channel(server.url, sender="MG42").send([message(2, valid_until=NOW + 2 * HOUR)])
    assert (delivery.fate, delivery.reference) == (Fate.TAKEN, "SM1")
    first, second = server.requests
    assert first.line == "POST /2010-04-01/Accounts/AC1/Messages.json HTTP/1.1"
    assert first.headers["Authorization"] == "Basic QUMxOnMzY3IzdC1vZi10aGUtZ2F0ZXdheQ=="
    assert first.form == {
        "To": "+31612345678", "From": "+31600000000", "Body": "M0001", "ValidityPeriod": "36000",
        "StatusCallback": CALLBACK,
    }  # fmt: skip
    assert (second.form["MessagingServiceSid"], second.form["ValidityPeriod"]) == ("MG42", "7200")


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize(
    ("status", "code", "fate"),
    [
        (400, 21211, Fate.REFUSED), (400, 21610, Fate.REFUSED), (400, 21603, Fate.NEVER_LEFT),
        (401, 20003, Fate.NEVER_LEFT), (429, 20429, Fate.NEVER_LEFT), (500, None, Fate.NEVER_LEFT),
    ],
)  # fmt: skip
def test_only_what_twilio_says_of_the_number_refuses_it_for_good(status, code, fate):
    with http_server(lambda *_: answered(status, json.dumps({"code": code}).encode())) as server:
        [delivery] = channel(server.url).send([message()])
    assert delivery.fate == fate


def test_a_signature_is_checked_as_twilio_makes_it():
    # The example of Twilio's documentation of webhook security.
    url = "https://example.com/myapp.php?foo=1&bar=2"
    form = [
        ("CallSid", "CA1234567890ABCDE"), ("Caller", "+14158675310"), ("Digits", "1234"),
        ("From", "+14158675310"), ("To", "+18005551212"),
    ]  # fmt: skip
    signature = "L/OH5YylLD5NRKLltdqwSvS0BnU="
    assert is_signed(url, form, signature, "12345")
    assert not is_signed(url, form, signature, "12346")
    assert not is_signed(url, [*form, ("X", "")], signature, "12345")
    assert not is_signed(url, form, "", "12345")
    assert not is_signed(url, form, "é", "12345")
    # Without a secret nobody can have signed.
    assert not is_signed(url, form, signature, "")


def test_the_path_of_callbacks_is_the_one_that_the_portal_serves():
    from django.urls import reverse

    assert reverse("twilio-receipt", urlconf="certportal.urls.portal", kwargs={"pk": 3}) == callback_path(3)
