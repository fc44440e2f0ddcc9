"""Triggers as signed webhooks (Standard Webhooks), for a backend that owns the channel to its devices.

One request carries a batch, not a device: a backend takes hundreds of messages at the price of one handshake and one
signature, and may answer each. What it does not name in its answer, it took.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime

from django import forms
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from inventory.alerts import signing
from inventory.alerts.channels import http
from inventory.alerts.channels.http import Answer, NoAnswer, NotSent
from renewal.channels.http_addresses import HttpAddressField
from renewal.channels.http_answers import retry_at
from renewal.channels.messages import Delivery, Fate, TriggerMessage, never_left

TYPE = "device.renewal_triggers"
_LARGEST_BATCH = 500
_LARGEST_ANSWER = 1 << 20
_SECONDS = 30.0
_FATES = {"taken": Fate.TAKEN, "not_sent": Fate.NEVER_LEFT, "refused": Fate.REFUSED}


class Settings(forms.Form):
    """What people set for a webhook. Its signing secret follows from the portal's key: none is stored."""

    url = HttpAddressField(label=_("address"), max_length=500)
    secret_number = forms.IntegerField(
        label=_("number of the secret"), min_value=1, initial=1, help_text=_("Raise it to replace the signing secret.")
    )


def signing_secret(gateway: int, number: int) -> str:
    """Return the secret that a backend checks the webhooks of a gateway with, as alert recipients have theirs."""
    value = f"{gateway}:{number}"
    return signing.encoded(salted_hmac("certportal.gateways.webhook", value, algorithm="sha256").digest())


class Webhook:
    """One request a batch. The attempt is the key by which a backend drops a message that it has already."""

    def __init__(self, *, url: str, secret: str, clock: Callable[[], datetime], seconds: float = _SECONDS) -> None:
        self._url = url
        self._secret = secret
        self._clock = clock
        self._seconds = seconds

    def send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        deliveries: list[Delivery] = []
        for start in range(0, len(messages), _LARGEST_BATCH):
            batch = messages[start : start + _LARGEST_BATCH]
            deliveries += self._send(batch)
            if deliveries[-1].fate in (Fate.NEVER_LEFT, Fate.IN_DOUBT):
                # The backend is in trouble: no further batch of it shall be in doubt as well.
                return [*deliveries, *never_left(messages[start + len(batch) :], deliveries[-1].detail)]
        return deliveries

    def _send(self, batch: Sequence[TriggerMessage]) -> list[Delivery]:
        now = self._clock()
        body = json.dumps(
            {"type": TYPE, "timestamp": now.isoformat(), "data": {"messages": [_shown(each) for each in batch]}}
        ).encode()
        signed = signing.headers(self._secret, f"triggers-{batch[0].attempt}-{batch[-1].attempt}", now, body)
        headers = {"Content-Type": "application/json", **signed}
        try:
            answer = http.request("POST", self._url, body, headers, self._seconds, most_bytes=_LARGEST_ANSWER)
        except NotSent as problem:
            return never_left(batch, str(problem))
        except NoAnswer as problem:
            return [Delivery(each.attempt, Fate.IN_DOUBT, str(problem)[:200]) for each in batch]
        if not 200 <= answer.status < 300:
            # The backend refuses the request, not a device: devices are refused by name.
            return never_left(batch, f"the backend answered {answer.status}", retry_at(answer, now))
        said = _answers(answer)
        return [said.get(each.attempt) or Delivery(each.attempt, Fate.TAKEN) for each in batch]


def _shown(message: TriggerMessage) -> dict[str, object]:
    return {
        "attempt": message.attempt,
        "fleet": message.fleet,
        "device": message.device,
        "campaign": message.campaign,
        "renew_before": message.renew_before,
        "est_url": message.est_url,
        "valid_until": message.valid_until.isoformat(),
    }


def _answers(answer: Answer) -> dict[int, Delivery]:
    """Read `{"results": [{"attempt", "result", "detail", "reference"}]}`; what is none of it says nothing."""
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    results = document.get("results") if isinstance(document, dict) else None
    rows = [row for row in results if isinstance(row, dict)] if isinstance(results, list) else []
    return {
        row["attempt"]: Delivery(
            row["attempt"],
            _FATES[row["result"]],
            str(row.get("detail", ""))[:200],
            str(row.get("reference", row["attempt"]))[:100],
        )
        for row in rows
        if isinstance(row.get("attempt"), int) and isinstance(row.get("result"), str) and row["result"] in _FATES
    }
