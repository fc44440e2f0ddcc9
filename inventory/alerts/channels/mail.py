"""Digests by e-mail, through the server that the settings name."""

import smtplib

from django.core.mail import BadHeaderError, EmailMessage

from inventory.alerts.channels.messages import Handover, Message


class MailChannel:
    def send(self, message: Message) -> Handover:
        """Hand the digest to the mail server. A repetition has the same Message-ID, by which mailboxes drop it."""
        mail = EmailMessage(
            message.subject,
            message.text,
            to=[message.address],
            headers={"Message-ID": f"<{message.id}@certportal>", "Auto-Submitted": "auto-generated"},  # RFC 3834 5
        )
        try:
            accepted = mail.send() == 1
        except (OSError, smtplib.SMTPException, BadHeaderError, ValueError) as error:
            return Handover(False, f"mail server: {error}"[:300])
        return Handover(accepted, "" if accepted else "The mail server took nothing.")
