"""SMS over SMPP 3.4: a session a batch sends, another one, always open, hears the delivery receipts.

Section numbers are those of the SMPP Protocol Specification 3.4, issue 1.2.
"""

import contextlib
import re
import select
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django import forms
from django.utils.translation import gettext_lazy as _
from smpplib import consts, exceptions, gsm, pdu
from smpplib.client import Client
from smpplib.smpp import make_pdu

from inventory.alerts.channels.http import NotSent, connected
from renewal.channels import sms_text
from renewal.channels.messages import Delivery, Fate, TriggerMessage, never_left
from renewal.channels.phone_numbers import NOT_E164, is_e164
from renewal.channels.receipts import Receipt
from renewal.models import ReceiptResult

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
_SECONDS_BETWEEN_LOOKS = 1.0
# Unanswered submit_sm at a time: as many as SMSCs commonly allow, and what goes wrong leaves no more in doubt.
_WINDOW = 10
_REFUSALS = frozenset({consts.SMPP_ESME_RINVDSTADR, consts.SMPP_ESME_RINVDSTTON, consts.SMPP_ESME_RINVDSTNPI})
# Broken PDUs come out of the library as these.
BROKEN = (OSError, struct.error, exceptions.ConnectionError, exceptions.PDUError, exceptions.UnknownCommandError)
_MESSAGE_TYPE, _DELIVERY_RECEIPT = 0x3C, 0x04  # of esm_class (5.2.12)
# Appendix B: id:ID sub:... dlvrd:... submit date:... done date:YYMMDDhhmm[ss] stat:STATUS err:... text:...
_RECEIPT_FIELDS = re.compile(r"(id|done date|stat|err):(\S*)")
_RESULTS = {
    "DELIVRD": ReceiptResult.DELIVERED,
    "EXPIRED": ReceiptResult.EXPIRED,
    "DELETED": ReceiptResult.UNDELIVERED,
    "UNDELIV": ReceiptResult.UNDELIVERED,
    "REJECTD": ReceiptResult.UNDELIVERED,
    "UNKNOWN": ReceiptResult.UNKNOWN,
}
# 5.2.28
_STATES = {2: "DELIVRD", 3: "EXPIRED", 4: "DELETED", 5: "UNDELIV", 7: "UNKNOWN", 8: "REJECTD"}


class Settings(forms.Form):
    """What people set for an SMSC. The secret is the password of the system id."""

    host = forms.CharField(label=_("host"), max_length=200)
    port = forms.IntegerField(label=_("port"), min_value=1, max_value=65535, initial=2775)
    tls = forms.BooleanField(label=_("TLS"), required=False)
    system_id = forms.CharField(label=_("system id"), max_length=15)
    system_type = forms.CharField(label=_("system type"), max_length=12, required=False)


@dataclass(frozen=True)
class Smsc:
    """Where a message centre is and how to bind to it."""

    host: str
    port: int
    tls: bool
    system_id: str
    password: str
    system_type: str = ""


class _Session(Client):  # type: ignore[misc]  # smpplib has no types
    """A connection by the rules that webhooks have: the address checked is the address connected, IPv6 too."""

    def __init__(self, smsc: Smsc, seconds: float) -> None:
        super().__init__(smsc.host, smsc.port, timeout=seconds, allow_unknown_opt_params=True)
        self._smsc = smsc
        self.logger.disabled = True  # at DEBUG it would write out the password

    def connect(self) -> None:
        """Raises NotSent, OSError."""
        wire = connected(self.host, self.port, time.monotonic() + _CONNECT_SECONDS)
        if self._smsc.tls:
            wire = ssl.create_default_context().wrap_socket(wire, server_hostname=self.host)
        wire.settimeout(self.timeout)
        self._socket = wire
        self.state = consts.SMPP_CLIENT_STATE_OPEN

    def credentials(self) -> dict[str, str]:
        smsc = self._smsc
        return {"system_id": smsc.system_id, "password": smsc.password, "system_type": smsc.system_type}

    def readable(self, seconds: float) -> bool:
        """Wait for a PDU: a time-out in the middle of one would lose its first half."""
        buffered = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0
        return buffered or bool(select.select([self._socket], [], [], seconds)[0])

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None  # type: ignore[assignment]  # as the library's own disconnect
        self.state = consts.SMPP_CLIENT_STATE_CLOSED


class SmsOverSmpp:
    """Sends a batch over one session, a window of messages at a time."""

    def __init__(
        self, smsc: Smsc, *, sender: str, text: str, clock: Callable[[], datetime], seconds: float = _ANSWER_SECONDS
    ) -> None:
        """`seconds`: how long the message centre may take to answer."""
        self._smsc = smsc
        self._sender = sender
        self._text = text
        self._clock = clock
        self._seconds = seconds

    def send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        numbers = [message for message in messages if is_e164(message.address)]
        refused = [
            Delivery(message.attempt, Fate.REFUSED, NOT_E164) for message in messages if not is_e164(message.address)
        ]
        return [*refused, *(self._send(numbers) if numbers else [])]

    def _send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        session = _Session(self._smsc, self._seconds)
        try:
            session.connect()
            session.bind_transmitter(**session.credentials())
        except (NotSent, *BROKEN) as error:
            session.close()
            return never_left(messages, f"no session with the message centre: {_reason(error)}")
        batch = _Batch(session)
        session.set_message_sent_handler(batch.taken)
        session.set_error_pdu_handler(batch.refused)
        try:
            for message in messages:
                batch.submit(message, self._parts(message))
                if batch.stopped:
                    break
            batch.wait_for_all()
            with contextlib.suppress(*BROKEN):
                session.unbind()
        except BROKEN as error:
            batch.broken = f"the session broke: {_reason(error)}"
        finally:
            session.close()
        return batch.deliveries(messages)

    def _parts(self, message: TriggerMessage) -> list[dict[str, object]]:
        """Return the parameters of one submit_sm for each part (4.4.1)."""
        now = self._clock()
        parts, coding, kind = gsm.make_parts(sms_text.text_of(message, self._text))
        return [
            {
                **_origin(self._sender),
                "dest_addr_ton": consts.SMPP_TON_INTL,
                "dest_addr_npi": consts.SMPP_NPI_ISDN,
                "destination_addr": message.address.removeprefix("+"),
                "short_message": part,
                "data_coding": coding,
                "esm_class": kind,
                "validity_period": relative_time(sms_text.validity(message, now)),
                # A receipt, whether it was delivered or not (5.2.17).
                "registered_delivery": 1,
            }
            for part in parts
        ]


class _Batch:
    """What was submitted over a session, and what the message centre said of each."""

    def __init__(self, session: _Session) -> None:
        self.broken = ""
        # The message centre takes nothing more, as when it is throttled.
        self.stopped = ""
        self._session = session
        self._waiting: dict[int, int] = {}
        self._said: dict[int, Delivery] = {}
        self._begun: set[int] = set()

    def submit(self, message: TriggerMessage, parts: Sequence[dict[str, object]]) -> None:
        """Send one message, once the window has room. Raises what `BROKEN` names."""
        for part in parts:
            while len(self._waiting) >= _WINDOW:
                self._session.read_once(auto_send_enquire_link=False)
            self._begun.add(message.attempt)
            sent = self._session.send_message(**part)
            self._waiting[sent.sequence] = message.attempt

    def wait_for_all(self) -> None:
        while self._waiting:
            self._session.read_once(auto_send_enquire_link=False)

    def taken(self, pdu: pdu.PDU) -> None:
        """The last part gives the reference: once it is delivered, so are mostly those before it."""
        attempt = self._waiting.pop(pdu.sequence, None)
        if attempt is None or self._said.get(attempt, Delivery(0, Fate.TAKEN)).fate != Fate.TAKEN:
            return
        reference = pdu.message_id.decode("ascii", "replace") if pdu.message_id else ""
        self._said[attempt] = Delivery(attempt, Fate.TAKEN, reference=reference[:100])

    def refused(self, pdu: pdu.PDU) -> None:
        attempt = self._waiting.pop(pdu.sequence, None)
        if attempt is None:
            raise exceptions.PDUError(f"the message centre says {_status(pdu.status)}")
        fate = Fate.REFUSED if pdu.status in _REFUSALS else Fate.NEVER_LEFT
        self._said[attempt] = Delivery(attempt, fate, f"the message centre says {_status(pdu.status)}")
        if fate == Fate.NEVER_LEFT:
            self.stopped = self._said[attempt].detail

    def deliveries(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        unanswered = set(self._waiting.values())
        return [self._delivery(message, unanswered) for message in messages]

    def _delivery(self, message: TriggerMessage, unanswered: set[int]) -> Delivery:
        said = self._said.get(message.attempt)
        if said is not None and message.attempt not in unanswered:
            return said
        if message.attempt in self._begun:
            return Delivery(message.attempt, Fate.IN_DOUBT, self.broken[:200])
        return never_left([message], self.broken or self.stopped)[0]


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    # The library's errors hold the status beside their text.
    said = error.args[0] if isinstance(error, exceptions.PDUError) and error.args else error
    return str(said) or type(error).__name__


def _status(status: int) -> str:
    return str(consts.DESCRIPTIONS.get(status, f"0x{status:08x}"))


def _origin(sender: str) -> dict[str, object]:
    """Return type, plan and address of the sender: a number, or a name of up to eleven letters (5.2.5)."""
    if is_e164(sender):
        return {
            "source_addr_ton": consts.SMPP_TON_INTL,
            "source_addr_npi": consts.SMPP_NPI_ISDN,
            "source_addr": sender.removeprefix("+"),
        }
    ton = consts.SMPP_TON_ALNUM if sender and not sender.isdigit() else consts.SMPP_TON_UNK
    return {"source_addr_ton": ton, "source_addr_npi": consts.SMPP_NPI_UNK, "source_addr": sender}


def relative_time(span: timedelta) -> str:
    """Return a span as SMPP writes it (7.1.1.2): YYMMDDhhmmss000R, where a month has 30 days here and a year 365."""
    days, seconds = min(span.days, 99 * 365), span.seconds
    years, days = divmod(days, 365)
    # Twelve months of 30 days are no year: the last days of one stay days of its twelfth month.
    months = min(days // 30, 11)
    return (
        f"{years:02}{months:02}{days - months * 30:02}{seconds // 3600:02}{seconds // 60 % 60:02}{seconds % 60:02}000R"
    )


def receipt_of(short_message: bytes, now: datetime, message_id: bytes = b"", state: int = 0) -> Receipt | None:
    """Read a delivery receipt; None when it is none, or tells of a state on the way.

    `message_id`, `state`: its optional parameters (5.3.2.12, 5.3.2.35), where the message centre sends these; the text,
    whose form Appendix B only suggests, otherwise.
    """
    fields = dict(_RECEIPT_FIELDS.findall(short_message.decode("latin-1")))
    reference = message_id.rstrip(b"\0").decode("latin-1") or fields.get("id", "")
    word = _STATES.get(state, "") or fields.get("stat", "")
    result = _RESULTS.get(word)
    if result is None or not reference:
        return None
    detail = f"{word} err:{fields['err']}" if fields.get("err", "").strip("0") else ""
    return Receipt(reference[:100], now, result, detail)


class ReceiptListener:
    """Hears the receipts of one message centre; a receipt is answered once it is recorded."""

    def __init__(
        self, smsc: Smsc, record: Callable[[Receipt], None], clock: Callable[[], datetime], seconds: float = 30.0
    ) -> None:
        """`seconds`: after so long a silence the session is asked whether it lives (enquire_link, 4.11)."""
        self._smsc = smsc
        self._record = record
        self._clock = clock
        self._seconds = seconds

    def run(self, stopped: Callable[[], bool]) -> None:
        """Listen until `stopped` says so, or the session breaks. Raises OSError, NotSent and the library's errors."""
        session = _Session(self._smsc, _ANSWER_SECONDS)
        session.set_message_received_handler(self._take)
        try:
            session.connect()
            # Not as a receiver: some message centres grant both ways or none, and take no answer from a receiver.
            session.bind_transceiver(**session.credentials())
            heard_at = time.monotonic()
            while not stopped():
                if session.readable(_SECONDS_BETWEEN_LOOKS):
                    session.read_once(auto_send_enquire_link=False)
                    heard_at = time.monotonic()
                elif time.monotonic() - heard_at > self._seconds:
                    session.send_pdu(make_pdu("enquire_link", client=session))
                    session.read_once(auto_send_enquire_link=False)
                    heard_at = time.monotonic()
            with contextlib.suppress(*BROKEN):
                session.unbind()
        finally:
            session.close()

    def _take(self, pdu: pdu.PDU) -> None:
        if pdu.command != "deliver_sm" or pdu.esm_class & _MESSAGE_TYPE != _DELIVERY_RECEIPT:
            return
        heard = receipt_of(
            pdu.short_message or b"", self._clock(), pdu.receipted_message_id or b"", pdu.message_state or 0
        )
        if heard is not None:
            self._record(heard)
