"""Signatures of webhooks as Standard Webhooks has them (standardwebhooks.com, scheme v1: HMAC-SHA256). Pure."""

import base64
import hashlib
import hmac
from datetime import datetime

PREFIX = "whsec_"


def headers(secret: str, message_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers that let a receiver check who sent `body`, when, and whether it saw it before."""
    timestamp = int(now.timestamp())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{_signature(secret, message_id, timestamp, body)}",
    }


def _signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def encoded(key: bytes) -> str:
    """Return a key as receivers are given it."""
    return PREFIX + base64.b64encode(key).decode()
