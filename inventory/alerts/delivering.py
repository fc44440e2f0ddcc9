"""Delivering digests: at least once, always under the same id, and never by two workers at a time."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Q
from django.utils.crypto import salted_hmac

from inventory import session_locks
from inventory.alerts import signing, text
from inventory.alerts.channels.chat import SlackChannel, TeamsChannel
from inventory.alerts.channels.mail import MailChannel
from inventory.alerts.channels.messages import Channel as Way
from inventory.alerts.channels.messages import Handover, Message
from inventory.alerts.channels.webhook import WebhookChannel
from inventory.models import Channel, Delivery, Recipient

# The queue tries a few times within minutes; what is still here after that is put into it again.
_RETRIED_AFTER = timedelta(hours=1)


def signing_secret(recipient: Recipient) -> str:
    """Return the secret that a recipient checks its webhooks with. It follows from the portal's key: none is stored."""
    value = f"{recipient.pk}:{recipient.secret_number}"
    return signing.encoded(salted_hmac("certportal.alerts.webhook", value, algorithm="sha256").digest())


def channel_of(recipient: Recipient) -> Way:
    """Return the way to a recipient."""
    match Channel(recipient.channel):
        case Channel.EMAIL:
            return MailChannel()
        case Channel.WEBHOOK:
            return WebhookChannel(signing_secret(recipient))
        case Channel.SLACK:
            return SlackChannel()
        case Channel.TEAMS:
            return TeamsChannel()


def waiting(now: datetime) -> list[UUID]:
    """Return the digests that were not delivered and are not being tried, oldest first. One query."""
    untried = Q(tried_at=None) | Q(tried_at__lt=now - _RETRIED_AFTER)
    return list(Delivery.objects.filter(untried, delivered_at=None).order_by("created_at").values_list("pk", flat=True))


def deliver(pk: UUID, now: datetime, way: Callable[[Recipient], Way] = channel_of) -> Handover:
    """Send one digest, unless it was sent or another worker is sending it.

    Nothing of the database waits for the recipient's server: the claim is a lock of this session, which ends with it. A
    crash after sending and before it is written down sends it again, under the same id.
    """
    with session_locks.held(session_locks.key_of(f"alert digest {pk}")) as alone:
        found = Delivery.objects.select_related("recipient").filter(pk=pk, delivered_at=None).first() if alone else None
        return _send(found, now, way(found.recipient)) if found else Handover(True)


def _send(delivery: Delivery, now: datetime, way: Way) -> Handover:
    words = text.digest(delivery.content, now)
    outcome = way.send(
        Message(
            id=f"msg_{delivery.pk.hex}",
            address=delivery.recipient.address,
            subject=words.subject,
            text=words.text,
            content=delivery.content,
            url=words.url,
            sent_at=now,
        )
    )
    Delivery.objects.filter(pk=delivery.pk).update(
        attempts=F("attempts") + 1,
        tried_at=now,
        problem=outcome.problem[:300],
        delivered_at=now if outcome.accepted else None,
    )
    return outcome
