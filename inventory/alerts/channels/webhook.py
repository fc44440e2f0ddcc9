"""Digests as signed webhooks, for programs."""

import json

from inventory.alerts import signing
from inventory.alerts.channels.http import post
from inventory.alerts.channels.messages import Handover, Message

TYPE = "alerts.digest"


class WebhookChannel:
    """Posts a digest as JSON, signed by Standard Webhooks."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def send(self, message: Message) -> Handover:
        """The body and its id are the same on every repetition; the timestamp, and so the signature, are of now."""
        data = {"subject": message.subject, "url": message.url, **message.content}
        body = json.dumps({"type": TYPE, "timestamp": message.sent_at.isoformat(), "data": data}).encode()
        return post(message.address, body, signing.headers(self._secret, message.id, message.sent_at, body))
