"""SMS over an HTTP gateway of any kind: method, address, headers and body are templates that people set."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote, quote_plus

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
from renewal.channels.templates import fill, unknown

_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
_IN_MESSAGE = ("number", "text", "validity_minutes", "reference", "sender")
# Where the secret may stand. Not in the address: those are written to the logs of every proxy on the way.
_WITH_SECRET = (*_IN_MESSAGE, "secret")
_LARGEST_ANSWER = 65_536


class Settings(forms.Form):
    """What people set for a gateway of this kind."""

    method = forms.ChoiceField(label=_("method"), choices=[("POST", "POST"), ("GET", "GET"), ("PUT", "PUT")])
    url = HttpAddressField(
        label=_("address"),
        max_length=500,
        help_text=_("Placeholders: {number} {text} {validity_minutes} {reference} {sender}"),
    )
    headers = forms.CharField(
        label=_("headers"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("One a line, such as Authorization: Bearer {secret}"),
    )
    content_type = forms.ChoiceField(label=_("content type"), choices=[(_JSON, _JSON), (_FORM, _FORM)])
    body = forms.CharField(
        label=_("body"),
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=_("Values are escaped for the content type. {secret} may stand here and in headers."),
    )
    reference_pointer = forms.CharField(
        label=_("reference in the answer"),
        required=False,
        max_length=200,
        help_text=_(
            "JSON Pointer (RFC 6901), such as /messages/0/id. Empty: receipts name messages by our {reference}."
        ),
    )

    def clean_url(self) -> str:
        return _known_only(self.cleaned_data["url"], _IN_MESSAGE)

    def clean_headers(self) -> str:
        text: str = self.cleaned_data["headers"]
        for line in text.splitlines():
            name, colon, value = line.partition(":")
            if not (colon and name.strip() and value.strip() and line.isascii()):
                raise forms.ValidationError(_("Each line is a name, a colon and a value."))
        return _known_only(text, _WITH_SECRET)

    def clean_body(self) -> str:
        return _known_only(self.cleaned_data["body"], _WITH_SECRET)

    def clean_reference_pointer(self) -> str:
        pointer: str = self.cleaned_data["reference_pointer"]
        if pointer and not pointer.startswith("/"):
            raise forms.ValidationError(_("A JSON Pointer begins with a slash."))
        return pointer

    def clean(self) -> dict[str, str]:
        """Refuse a body that is no JSON though it says so. Raises ValidationError."""
        given = self.cleaned_data
        if given.get("content_type") == _JSON and given.get("body"):
            try:
                json.loads(fill(given["body"], dict.fromkeys(_WITH_SECRET, "1")))
            except ValueError:
                raise forms.ValidationError(
                    {"body": _("With its placeholders filled in, the body is no JSON.")}
                ) from None
        return given


def _known_only(template: str, known: Sequence[str]) -> str:
    if wrong := unknown(template, _WITH_SECRET) or [name for name in unknown(template, known) if name == "secret"]:
        raise forms.ValidationError(_("{%(name)s} is no placeholder here."), params={"name": wrong[0]})
    return template


@dataclass(frozen=True)
class HttpGateway:
    """Where and how one SMS is handed over, as `Settings` validated it."""

    method: str
    url: str
    headers: str
    content_type: str
    body: str
    reference_pointer: str


class SmsOverHttp:
    """One request a message, over a few connections at once."""

    def __init__(
        self, gateway: HttpGateway, *, sender: str, text: str, secret: str, clock: Callable[[], datetime],
        seconds: float = http.SECONDS,
    ) -> None:  # fmt: skip
        """`seconds`: how long one request may take, with all that belongs to it."""
        self._gateway = gateway
        self._sender = sender
        self._text = text
        self._secret = secret
        self._clock = clock
        self._seconds = seconds

    def send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        return send_each(messages, self._send)

    def _send(self, message: TriggerMessage) -> Delivery:
        if not is_e164(message.address):
            return Delivery(message.attempt, Fate.REFUSED, NOT_E164)
        now = self._clock()
        gateway, values = self._gateway, self._values(message, now)
        escape = _ESCAPES[gateway.content_type]
        with_secret = {**values, "secret": self._secret}
        headers = dict(_headers(gateway.headers, with_secret))
        if gateway.body:
            headers["Content-Type"] = gateway.content_type
        url = fill(gateway.url, values, lambda value: quote(value, safe=""))
        body = fill(gateway.body, with_secret, escape).encode()
        return delivery_of(
            message.attempt,
            lambda: http.request(gateway.method, url, body, headers, self._seconds, most_bytes=_LARGEST_ANSWER),
            now,
            lambda answer: self._reference(message, answer),
        )

    def _values(self, message: TriggerMessage, now: datetime) -> dict[str, str]:
        return {
            "number": message.address,
            "text": sms_text.text_of(message, self._text),
            "validity_minutes": str(sms_text.validity(message, now) // timedelta(minutes=1)),
            "reference": str(message.attempt),
            "sender": self._sender,
        }

    def _reference(self, message: TriggerMessage, answer: Answer) -> str:
        if not self._gateway.reference_pointer:
            return str(message.attempt)
        try:
            found = pointed_at(json.loads(answer.body), self._gateway.reference_pointer)
        except (ValueError, RecursionError):
            return ""
        return str(found)[:100] if isinstance(found, str | int) and not isinstance(found, bool) else ""


def pointed_at(document: object, pointer: str) -> object:
    """Return what a JSON Pointer (RFC 6901) leads to, None when there is nothing."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, list) and name.isascii() and name.isdigit() and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    return document


def _headers(template: str, values: Mapping[str, str]) -> list[tuple[str, str]]:
    filled = [line.partition(":") for line in template.splitlines()]
    # No line of a value begins a header of its own.
    return [
        (name.strip(), fill(value, values, lambda text: " ".join(text.split())).strip())
        for name, _colon, value in filled
    ]


_ESCAPES: Mapping[str, Callable[[str], str]] = {_JSON: lambda text: json.dumps(text)[1:-1], _FORM: quote_plus}
