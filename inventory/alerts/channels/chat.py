"""Digests for rooms of people: what Slack and Teams take at their incoming webhooks."""

import json
from typing import Any

from inventory.alerts.channels.http import post
from inventory.alerts.channels.messages import Handover, Message

_LONGEST = 3000  # Slack cuts a message at 40,000 characters and a section at 3,000; nobody reads more in a room


class SlackChannel:
    def send(self, message: Message) -> Handover:
        text = f"*{_plain(message.subject)}*\n{_plain(message.text)}"[:_LONGEST]
        return post(message.address, json.dumps({"text": text}).encode(), {})


def _plain(text: str) -> str:
    """Escape the three characters by which Slack knows links and mentions: a name cannot call a whole channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class TeamsChannel:
    def send(self, message: Message) -> Handover:
        return post(message.address, json.dumps(_card(message)).encode(), {})


def _card(message: Message) -> dict[str, Any]:
    """Return an Adaptive Card as Teams' workflows take it. RichTextBlock knows no Markdown, so names stay text."""

    def block(text: str, **style: object) -> dict[str, Any]:
        return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}

    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [block(message.subject, weight="Bolder"), block(message.text[:_LONGEST])],
        "actions": [{"type": "Action.OpenUrl", "title": "certportal", "url": message.url}],
    }
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }
