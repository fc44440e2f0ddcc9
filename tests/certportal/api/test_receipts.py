"""Receipts that gateways push, over the API and by Twilio's signed callbacks; gateways are read."""

import base64
import hashlib
import hmac
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from renewal.channels import outcomes
from renewal.channels.messages import Delivery, Fate
from renewal.models import Attempt, Driver
from tests import factories
from tests.factories import NOW
from tests.renewal.channels.gateways import SECRET, attempts, gateway

RECEIPTS = "/api/v1/receipts/"


def sent_over(made, reference: str) -> Attempt:
    [attempt] = attempts(1)
    outcomes.write_down([Delivery(attempt.pk, Fate.TAKEN, reference=made.reference_of(reference))])
    return attempt


def report(name: str, *receipts: dict) -> dict:
    return {"gateway": name, "receipts": list(receipts)}


def receipt(reference="abc", result="delivered", **more) -> dict:
    return {"reference": reference, "result": result, "at": NOW.isoformat(), **more}


@pytest.fixture
def told(client, db):
    """A browser of a gateway's account, which may tell receipts and nothing else."""

    def tell(body: object, **person):
        factories.person("gateway", "add_earlyreceipt", is_staff=True, **({"all_fleets": True} | person))
        client.force_login(factories.get_user_model().objects.get(username="gateway"))
        return client.post(RECEIPTS, body, content_type="application/json")

    return tell


def test_receipts_are_told_in_bulk_and_counted(told):
    made = gateway()
    attempt = sent_over(made, "abc")
    body = report(made.name, receipt(), receipt(), receipt("of-nobody", "expired"))
    assert told(body).json() == {"written": 1, "known": 0, "unknown": 1}
    assert told(body).json() == {"written": 0, "known": 1, "unknown": 1}
    attempt.refresh_from_db()
    assert (attempt.outcome, attempt.receipt_at) == ("delivered", NOW)


@pytest.mark.parametrize(
    "body",
    [
        {}, [], report("no-such"), report("gateway console"), report("gateway console", receipt(result="lost")),
        report("gateway console", {"reference": "abc"}), report("gateway console", receipt(more="x")),
        report("gateway console", receipt(reference="a\0b")),
    ],
)  # fmt: skip
def test_what_is_no_report_is_refused_whole(told, body):
    gateway()
    assert told(body).status_code == 400


def test_only_people_of_all_fleets_tell_receipts_of_a_gateway_that_serves_all(told):
    made = gateway()
    sent_over(made, "abc")
    assert told(report(made.name, receipt()), all_fleets=False).status_code == 400
    assert Attempt.objects.get().outcome == "sent"


def test_gateways_are_read_without_how_they_are_reached(client, db):
    made = gateway(Driver.SMPP, settings={"host": "smsc.example"}, daily_cap=5)
    factories.person("looker", "view_gateway", is_staff=True, all_fleets=True)
    client.force_login(factories.get_user_model().objects.get(username="looker"))
    [shown] = client.get("/api/v1/gateways/?channel=sms").json()["results"]
    assert (shown["name"], shown["daily_cap"], shown["fleet"]) == (made.name, 5, None)
    assert "smsc.example" not in str(shown)
    assert client.post("/api/v1/gateways/", {}).status_code == 405


# --- Twilio ----------------------------------------------------------------------------------------------------------


def callback(client, made, form: dict, token: str = SECRET):
    address = f"/receipts/twilio/{made.pk}/"
    signed = f"https://portal.example{address}" + "".join(name + form[name] for name in sorted(form))
    signature = base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()
    return client.post(
        address,
        urlencode(form),
        content_type="application/x-www-form-urlencoded",
        headers={"X-Twilio-Signature": signature},
    )


@pytest.fixture
def twilio(db, settings):
    settings.PUBLIC_PORTAL_URL = "https://portal.example"
    return gateway(Driver.TWILIO, settings={"account_sid": "AC1", "api": "https://api.twilio.com"})


def test_a_signed_callback_of_twilio_is_a_receipt(client, twilio):
    attempt, began = sent_over(twilio, "SM1"), timezone.now()
    for status, outcome in (("sent", "sent"), ("undelivered", "undelivered"), ("delivered", "delivered")):
        form = {"MessageSid": "SM1", "MessageStatus": status, "ErrorCode": "30003" if status == "undelivered" else ""}
        assert callback(client, twilio, form).status_code == 204
        attempt.refresh_from_db()
        assert attempt.outcome == outcome
        assert attempt.detail == ("Twilio error 30003" if status == "undelivered" else "")
    assert attempt.receipt_at is not None
    assert began <= attempt.receipt_at <= timezone.now()


def test_whoever_cannot_sign_learns_nothing(client, twilio, settings):
    form = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    sent_over(twilio, "SM1")
    assert callback(client, twilio, form, token="guessed").status_code == 403
    assert callback(client, gateway(enabled=False), form).status_code == 403
    twilio.pk += 1000
    assert callback(client, twilio, form).status_code == 403
    assert client.get(f"/receipts/twilio/{twilio.pk}/").status_code == 405
    twilio.pk -= 1000
    settings.SECRET_KEY = "another"
    assert callback(client, twilio, form).status_code == 403
    assert Attempt.objects.get().outcome == "sent"
