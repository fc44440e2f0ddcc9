"""SMS over HTTP gateways: what leaves, and what their answers, or none, mean."""

import json
import socket
import threading
from collections import Counter
from datetime import timedelta

import pytest

from renewal.channels.messages import Fate
from renewal.channels.sms_http import HttpGateway, Settings, SmsOverHttp, pointed_at
from tests.factories import NOW
from tests.renewal.channels.gateways import SECRET, answered, http_server, message

pytestmark = pytest.mark.usefixtures("loopback")
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
TAKEN = answered(202, b'{"messages": [{"id": "abc-1"}]}')


def settings_of(base, /, **changes):
    values = {
        "method": "POST", "url": f"{base}/sms", "headers": "Authorization: Bearer {secret}", "content_type": JSON,
        "body": '{"to": "{number}", "body": "{text}", "ttl": {validity_minutes}, "ref": "{reference}"}',
        "reference_pointer": "/messages/0/id",
    }  # fmt: skip
    return values | changes


def channel(base, /, *, seconds=10.0, text="{device}", **changes):
    form = Settings(settings_of(base, **changes))
    assert form.is_valid(), form.errors
    return SmsOverHttp(
        HttpGateway(**form.cleaned_data), sender="Grid", text=text, secret=SECRET, clock=lambda: NOW, seconds=seconds
    )


def test_a_message_is_filled_into_the_templates_and_the_answer_gives_its_reference():
    with http_server(lambda *_: TAKEN) as server:
        [delivery] = channel(server.url, text='say "{device}"\\').send([message(42)])
    assert (delivery.fate, delivery.reference, delivery.detail) == (Fate.TAKEN, "abc-1", "")
    [asked] = server.requests
    assert asked.headers["Authorization"] == f"Bearer {SECRET}"
    assert json.loads(asked.body) == {"to": "+31612345678", "body": 'say "M0042"\\', "ttl": 24 * 60, "ref": "42"}


def test_a_form_and_an_address_are_escaped_and_our_reference_stands_for_a_missing_one():
    body = "to={number}&text={text}&key={secret}"
    with http_server(lambda *_: answered(200)) as server:
        gateway = channel(
            server.url,
            content_type=FORM,
            body=body,
            reference_pointer="",
            text="{device}&to=x",
            url=f"{server.url}/{{number}}?a=b",
        )
        [delivery] = gateway.send([message(7)])
    [asked] = server.requests
    assert asked.form == {"to": "+31612345678", "text": "M0007&to=x", "key": SECRET}
    assert asked.line == "POST /%2B31612345678?a=b HTTP/1.1"
    assert delivery.reference == "7"


@pytest.mark.parametrize(
    ("said", "fate", "detail"),
    [
        (answered(500), Fate.NEVER_LEFT, "the gateway answered 500"),
        (answered(503), Fate.NEVER_LEFT, "the gateway answered 503"),
        (answered(302, b"", "Location: http://127.0.0.1/"), Fate.NEVER_LEFT, "the gateway answered 302"),
        # A key that expired is no fault of the number.
        (answered(401), Fate.NEVER_LEFT, "the gateway answered 401"),
        (answered(404), Fate.NEVER_LEFT, "the gateway answered 404"),
        (answered(422), Fate.REFUSED, "the gateway answered 422"),
        (answered(400), Fate.REFUSED, "the gateway answered 400"),
        (b"220 mail server\r\n", Fate.IN_DOUBT, "127.0.0.1 does not answer in HTTP."),
    ],
)
def test_what_an_answer_means_for_the_message(said, fate, detail):
    with http_server(lambda *_: said) as server:
        [delivery] = channel(server.url).send([message()])
    assert (delivery.fate, delivery.detail) == (fate, detail)


@pytest.mark.parametrize(
    ("header", "seconds"), [("120", 120), ("Mon, 01 Mar 2027 12:02:00 GMT", 120), ("soon", None), ("999999999", 86400)]
)
def test_too_many_requests_are_trouble_until_the_gateway_says(header, seconds):
    with http_server(lambda *_: answered(429, b"", f"Retry-After: {header}")) as server:
        [delivery] = channel(server.url).send([message()])
    assert delivery.fate == Fate.NEVER_LEFT
    assert delivery.retry_at == (None if seconds is None else NOW + timedelta(seconds=seconds))


def test_nothing_leaves_for_a_gateway_that_is_down_or_whose_address_is_not_allowed(settings):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    [delivery] = channel(f"http://127.0.0.1:{port}").send([message()])
    assert (delivery.fate, "Connection refused" in delivery.detail) == (Fate.NEVER_LEFT, True)
    settings.WEBHOOK_NETWORKS = []
    [delivery] = channel("http://169.254.169.254").send([message()])
    assert (delivery.fate, "CERTPORTAL_WEBHOOK_NETWORKS" in delivery.detail) == (Fate.NEVER_LEFT, True)


def test_a_gateway_that_hangs_has_a_few_messages_in_doubt_and_the_rest_never_leave():
    over = threading.Event()

    def hang(_request, _wire):
        over.wait(60)

    with http_server(hang) as server:
        deliveries = channel(server.url, seconds=0.5).send([message(attempt) for attempt in range(100)])
        over.set()
    fates = Counter(delivery.fate for delivery in deliveries)
    assert sorted(delivery.attempt for delivery in deliveries) == list(range(100))
    # As many as connections at a time, and no more: the gateway may have taken each of them.
    assert fates[Fate.IN_DOUBT] == len(server.requests) <= 8
    assert fates[Fate.NEVER_LEFT] == 100 - fates[Fate.IN_DOUBT]


def test_a_gateway_that_takes_a_message_and_answers_too_late_has_it_in_doubt():
    over = threading.Event()

    def late(_request, _wire):
        over.wait(60)
        return TAKEN

    with http_server(late) as server:
        [delivery] = channel(server.url, seconds=0.5).send([message()])
        over.set()
    assert delivery.fate == Fate.IN_DOUBT


def test_a_gateway_that_refuses_whatever_comes_is_not_given_every_number_of_the_fleet():
    with http_server(lambda *_: answered(400)) as server:
        deliveries = channel(server.url).send([message(attempt) for attempt in range(200)])
    fates = Counter(delivery.fate for delivery in deliveries)
    assert 20 <= fates[Fate.REFUSED] <= 28
    assert fates[Fate.NEVER_LEFT] == 200 - fates[Fate.REFUSED]


def test_a_number_that_is_none_is_refused_without_asking():
    with http_server(lambda *_: TAKEN) as server:
        deliveries = channel(server.url).send([message(1, ""), message(2, "0612345678"), message(3)])
    assert [delivery.fate for delivery in deliveries] == [Fate.REFUSED, Fate.REFUSED, Fate.TAKEN]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "ftp://example.org"}, "url"),
        ({"url": "https://example.org/?key={secret}"}, "url"),
        ({"headers": "no colon"}, "headers"),
        ({"headers": "X-A: {password}"}, "headers"),
        ({"body": '{"to": {number}'}, "body"),
        ({"reference_pointer": "id"}, "reference_pointer"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, field):
    form = Settings(settings_of("https://gateway.example", **changes))
    assert not form.is_valid()
    assert list(form.errors) == [field]


@pytest.mark.parametrize(
    ("pointer", "found"), [("/a/0/b", 1), ("/a/1", None), ("/x~1y", 2), ("/a/0/b/c", None), ("/m~0n", 3)]
)
def test_a_json_pointer_leads_where_rfc_6901_says(pointer, found):
    assert pointed_at({"a": [{"b": 1}], "x/y": 2, "m~n": 3}, pointer) == found


def test_no_text_brings_the_secret_of_the_gateway_into_a_message():
    with http_server(lambda *_: TAKEN) as server:
        channel(server.url, text="{secret} {device} {number}").send([message(42)])
    assert json.loads(server.requests[0].body)["body"] == "{secret} M0042 {number}"
