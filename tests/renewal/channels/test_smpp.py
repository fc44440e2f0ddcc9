"""SMS over SMPP, against another's message centre: what it counts is what we count."""

import socket
import threading
import time
from collections import Counter
from datetime import timedelta

import pytest
import smpp34
from django.db import connection

from renewal.channels import outcomes, routes
from renewal.channels.messages import Fate
from renewal.channels.receipts import Receipt
from renewal.channels.sealing import sealed
from renewal.channels.smpp import ReceiptListener, Smsc, SmsOverSmpp, receipt_of, relative_time
from renewal.management.commands.listen_receipts import listen
from renewal.models import Channel, Driver, ReceiptResult
from tests.factories import NOW, fleet
from tests.renewal.channels.gateways import attempts, gateway, message
from tests.renewal.channels.message_centre import PASSWORD, SYSTEM_ID, MessageCentre

pytestmark = pytest.mark.usefixtures("loopback")


def smsc(port: int) -> Smsc:
    return Smsc("127.0.0.1", port, False, SYSTEM_ID, PASSWORD)


def channel(port: int, *, text="{device}", sender="Grid", seconds=10.0) -> SmsOverSmpp:
    return SmsOverSmpp(smsc(port), sender=sender, text=text, clock=lambda: NOW, seconds=seconds)


def test_a_batch_is_taken_once_each_and_the_centre_counts_what_we_count():
    with MessageCentre().running() as centre:
        deliveries = channel(centre.port).send([message(attempt, f"+316{attempt:08}") for attempt in range(300)])
    assert Counter(delivery.fate for delivery in deliveries) == {Fate.TAKEN: 300}
    assert len(centre.taken) == 300
    by_id = {f"id-{place}": taken for place, taken in enumerate(centre.taken, 1)}
    for delivery in deliveries:
        taken = by_id[delivery.reference]
        assert (taken.destination_addr, taken.short_message) == (
            f"316{delivery.attempt:08}",
            b"M%04d" % delivery.attempt,
        )


def test_a_message_says_its_numbering_and_that_a_receipt_is_wanted():
    with MessageCentre().running() as centre:
        channel(centre.port).send([message(1)])
        channel(centre.port, sender="+31600000000").send([message(2)])
    named, numbered = centre.taken
    assert (named.source_addr_ton, named.source_addr_npi, named.source_addr) == (5, 0, "Grid")
    assert (numbered.source_addr_ton, numbered.source_addr_npi, numbered.source_addr) == (1, 1, "31600000000")
    assert (named.dest_addr_ton, named.dest_addr_npi, named.destination_addr) == (1, 1, "31612345678")
    assert named.registered_delivery == 1


def test_a_long_message_is_sent_in_parts_and_is_one_delivery():
    with MessageCentre().running() as centre:
        [delivery] = channel(centre.port, text="x" * 200).send([message()])
    assert (delivery.fate, delivery.reference) == (Fate.TAKEN, "id-2")
    assert [taken.esm_class for taken in centre.taken] == [0x40, 0x40]


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        (smpp34.ESME_RINVDSTADR, Fate.REFUSED),
        (smpp34.ESME_RMSGQFUL, Fate.NEVER_LEFT),
        (smpp34.ESME_RSYSERR, Fate.NEVER_LEFT),
    ],
)
def test_an_unknown_number_is_refused_for_good_and_any_other_error_is_trouble(status, fate):
    def answer(sent):
        return status if sent.destination_addr == "31611111111" else 0

    with MessageCentre(answer).running() as centre:
        numbers = {2: "+31611111111"}
        deliveries = channel(centre.port).send([message(each, numbers.get(each, "+31612345678")) for each in range(50)])
    fates = {delivery.attempt: delivery.fate for delivery in deliveries}
    assert (fates[1], fates[2]) == (Fate.TAKEN, fate)
    # In trouble nothing more is sent.
    assert fates[49] == (Fate.TAKEN if fate == Fate.REFUSED else Fate.NEVER_LEFT)
    assert Counter(fates.values())[Fate.TAKEN] == len(centre.taken)


def test_nothing_leaves_without_a_session():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    [delivery] = channel(port).send([message()])
    assert delivery.fate == Fate.NEVER_LEFT
    assert delivery.detail.startswith("no session with the message centre: ")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        [delivery] = channel(silent.getsockname()[1], seconds=0.5).send([message()])
    assert delivery.fate == Fate.NEVER_LEFT


def test_a_centre_that_stops_answering_has_a_window_in_doubt_and_each_says_its_validity():
    heard = b""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            nonlocal heard
            wire, _address = server.accept()
            with wire:
                bind = wire.recv(1024)
                wire.sendall(b"\0\0\0\x15\x80\0\0\x02\0\0\0\0" + bind[12:16] + b"SMSC\0")
                while more := wire.recv(1024):
                    heard += more

        thread = threading.Thread(target=serve)
        thread.start()
        deliveries = channel(server.getsockname()[1], seconds=0.5).send([message(attempt) for attempt in range(50)])
        thread.join(60)
    assert [delivery.fate for delivery in deliveries] == [Fate.IN_DOUBT] * 10 + [Fate.NEVER_LEFT] * 40
    first = smpp34.decode(heard[: int.from_bytes(heard[:4])])
    assert (first.validity_period, first.destination_addr) == ("000001000000000R", "31612345678")


def test_a_number_that_is_none_is_refused_without_asking():
    with MessageCentre().running() as centre:
        fates = {each.attempt: each.fate for each in channel(centre.port).send([message(1, "112"), message(2)])}
    assert fates == {1: Fate.REFUSED, 2: Fate.TAKEN}
    assert len(centre.taken) == 1


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "It did not happen within a minute."
        time.sleep(0.02)


def test_receipts_are_heard_over_a_session_of_their_own_and_answered_once_recorded():
    heard: list[Receipt] = []
    stopping = threading.Event()
    with MessageCentre().running() as centre:
        listener = ReceiptListener(smsc(centre.port), heard.append, lambda: NOW)
        thread = threading.Thread(target=listener.run, args=(stopping.is_set,))
        thread.start()
        wait_until(lambda: centre.sessions == 1)
        text = b"id:id-1 sub:001 dlvrd:001 submit date:2703011200 done date:2703011205 stat:DELIVRD err:000 text:M"
        answers = centre.tell(text) + centre.tell(b"an SMS of a person", esm_class=0)
        answers += centre.tell(
            b"",
            tlvs=[
                smpp34.Tlv(smpp34.TLV_RECEIPTED_MESSAGE_ID, b"id-2\0"),
                smpp34.Tlv(smpp34.TLV_MESSAGE_STATE, b"\x05"),
            ],
        )
        stopping.set()
        thread.join(60)
    assert [answer.is_success for answer in answers] == [True, True, True]
    assert heard == [
        Receipt("id-1", NOW, ReceiptResult.DELIVERED),
        Receipt("id-2", NOW, ReceiptResult.UNDELIVERED),
    ]


@pytest.mark.django_db(transaction=True)
def test_the_listener_writes_receipts_to_the_messages_of_its_gateway():
    stopping = threading.Event()
    with MessageCentre().running() as centre:
        own = {"host": "127.0.0.1", "port": centre.port, "tls": False, "system_id": SYSTEM_ID, "system_type": ""}
        made = gateway(Driver.SMPP, settings=own, sealed_secret=sealed(PASSWORD))
        [attempt] = attempts(1)
        [delivery] = routes.route(Channel.SMS, fleet().pk, lambda: NOW).send([message(attempt.pk)])
        outcomes.write_down([delivery])

        def run() -> None:
            listen(stopping)
            connection.close()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            wait_until(lambda: centre.sessions == 1)
            centre.tell(b"id:id-1 stat:DELIVRD err:000")
        finally:
            stopping.set()
            thread.join(60)
    attempt.refresh_from_db()
    assert (attempt.outcome, attempt.reference) == ("delivered", f"{made.pk}:id-1")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"id:7 stat:EXPIRED err:000", ("7", ReceiptResult.EXPIRED, "")),
        (b"id:7 sub:001 dlvrd:000 stat:UNDELIV err:027 text:", ("7", ReceiptResult.UNDELIVERED, "UNDELIV err:027")),
        (b"id:7 stat:REJECTD err:", ("7", ReceiptResult.UNDELIVERED, "")),
        (b"id:7 stat:UNKNOWN", ("7", ReceiptResult.UNKNOWN, "")),
        (b"id:7 stat:ENROUTE", None),
        (b"id: stat:DELIVRD", None),
        (b"\xff\xfe", None),
    ],
)
def test_a_receipt_is_read_by_its_fields(text, told):
    receipt = receipt_of(text, NOW)
    assert (receipt and (receipt.reference, receipt.result, receipt.detail)) == told


@pytest.mark.parametrize(
    ("span", "written"),
    [
        (timedelta(minutes=1), "000000000100000R"),
        (timedelta(hours=72), "000003000000000R"),
        (timedelta(days=45, hours=2, minutes=3, seconds=4), "000115020304000R"),
        (timedelta(days=364), "001134000000000R"),
        (timedelta(days=366), "010001000000000R"),
    ],
)
def test_a_span_is_written_as_smpp_does(span, written):
    assert relative_time(span) == written
