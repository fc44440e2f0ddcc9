"""What an SMS says, and how many parts it takes. Pure."""

from datetime import datetime, timedelta

from smpplib import consts, gsm

from renewal.channels.messages import TriggerMessage
from renewal.channels.templates import fill

PLACEHOLDERS = ("device", "fleet", "campaign", "renew_before", "est_url")
# As long as real values may well be.
_EXAMPLE = {
    "device": "METER-00000001",
    "fleet": "north-grid",
    "campaign": "12345",
    "renew_before": "2027-03-31",
    "est_url": "https://est.example.org:8443/.well-known/est/north-grid",
}


def text_of(message: TriggerMessage, template: str) -> str:
    """Return the text of an SMS. The date is a day: a device needs no more, and a part has 160 characters."""
    values = {
        "device": message.device,
        "fleet": message.fleet,
        "campaign": str(message.campaign),
        "renew_before": message.renew_before[:10],
        "est_url": message.est_url,
    }
    return fill(template, values)


def example(template: str) -> str:
    """Return the text with values of a usual length."""
    return fill(template, _EXAMPLE)


def parts(text: str) -> tuple[int, bool]:
    """Return the number of SMS that carry `text`, and whether the GSM alphabet does (3GPP TS 23.038 6.2.1).

    One SMS has 160 characters of that alphabet, or 70 others; each of several has seven, or three, less.
    """
    pieces, coding, _kind = gsm.make_parts(text)
    return len(pieces), coding == consts.SMPP_ENCODING_DEFAULT


def validity(message: TriggerMessage, now: datetime) -> timedelta:
    """Return how long the message is worth something, a minute at least: gateways know no less."""
    return max(message.valid_until - now, timedelta(minutes=1))
