"""SMS over Twilio's REST API, or one of its shape: Messages.json, status callbacks with X-Twilio-Signature."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django import forms
from django.utils.translation import gettext_lazy as _

from inventory.alerts.channels import http
from inventory.alerts.channels.http import Answer
from renewal.channels import sms_text
from renewal.channels.http_addresses import HttpAddressField
from renewal.channels.http_answers import delivery_of
from renewal.channels.messages import Delivery, Fate, TriggerMessage
from renewal.channels.one_by_one import send_each
from renewal.channels.phone_numbers import NOT_E164, is_e164
from renewal.models import ReceiptResult

# Of Twilio's error codes, those that say the number cannot be reached: invalid, not mobile, unsubscribed, no route.
_NUMBER_REFUSED = frozenset({21211, 21214, 21217, 21408, 21610, 21612, 21614})
_LONGEST_VALIDITY_SECONDS = 36_000  # ValidityPeriod: 1 to 36,000
_LARGEST_ANSWER = 65_536
# MessageStatus; what is not here (queued, sending, sent ...) tells nothing yet.
RESULTS: Mapping[str, ReceiptResult] = {
    "delivered": ReceiptResult.DELIVERED,
    "read": ReceiptResult.DELIVERED,
    "undelivered": ReceiptResult.UNDELIVERED,
    "failed": ReceiptResult.UNDELIVERED,
    "canceled": ReceiptResult.UNDELIVERED,
}


def callback_path(gateway: int) -> str:
    """Return the path at which the portal hears status callbacks of a gateway."""
    return f"/receipts/twilio/{gateway}/"


class Settings(forms.Form):
    """What people set for Twilio. The secret is the auth token, which signs the status callbacks too."""

    account_sid = forms.RegexField(
        regex=r"\A[A-Za-z0-9]{2,64}\Z",
        label=_("account SID"),
        help_text=_("Begins with AC. The secret is the auth token."),
    )
    api = HttpAddressField(label=_("address of the API"), initial="https://api.twilio.com", max_length=200)


class Twilio:
    """One request a message, over a few connections at once."""

    def __init__(
        self, *, account_sid: str, api: str, callback: str, sender: str, text: str, secret: str,
        clock: Callable[[], datetime], seconds: float = http.SECONDS,
    ) -> None:  # fmt: skip
        """`callback`: where Twilio tells what became of a message. `seconds`: how long one request may take."""
        self._url = f"{api.rstrip('/')}/2010-04-01/Accounts/{account_sid}/Messages.json"
        credentials = base64.b64encode(f"{account_sid}:{secret}".encode()).decode()
        self._headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/x-www-form-urlencoded"}
        self._callback = callback
        self._sender = sender
        self._text = text
        self._clock = clock
        self._seconds = seconds

    def send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        return send_each(messages, self._send)

    def _send(self, message: TriggerMessage) -> Delivery:
        if not is_e164(message.address):
            return Delivery(message.attempt, Fate.REFUSED, NOT_E164)
        now = self._clock()
        seconds = sms_text.validity(message, now) // timedelta(seconds=1)
        form = {
            "To": message.address,
            # A sender of Twilio's is a number or a name; a pool of them is a messaging service.
            ("MessagingServiceSid" if self._sender.startswith("MG") else "From"): self._sender,
            "Body": sms_text.text_of(message, self._text),
            "ValidityPeriod": str(min(seconds, _LONGEST_VALIDITY_SECONDS)),
            "StatusCallback": self._callback,
        }
        return delivery_of(
            message.attempt,
            lambda: http.request(
                "POST", self._url, urlencode(form).encode(), self._headers, self._seconds, most_bytes=_LARGEST_ANSWER
            ),
            now,
            lambda answer: str(_said(answer).get("sid", ""))[:100],
            _refuses_the_number,
        )


def _refuses_the_number(answer: Answer) -> bool:
    """Twilio answers 400 to wrong settings as well: its code tells them apart."""
    return answer.status == 400 and _said(answer).get("code") in _NUMBER_REFUSED


def _said(answer: Answer) -> dict[str, object]:
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def is_signed(url: str, form: Iterable[tuple[str, str]], signature: str, token: str) -> bool:
    """Tell whether Twilio sent `form` to `url`: HMAC-SHA1 over the address and, sorted, each name and value."""
    signed = url + "".join(name + value for name, value in sorted(set(form)))
    right = base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()
    return bool(token) and hmac.compare_digest(right.encode(), signature.encode())
