"""Digests on their way: signed, at least once, over real sockets."""

import base64
import hashlib
import hmac
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email import message_from_string, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

import django_rq
import pytest
from django.core import mail
from django.db import connection
from django.utils import timezone
from rq import SimpleWorker

from inventory import jobs
from inventory.alerts import signing
from inventory.alerts.channels.messages import Handover, Message
from inventory.alerts.channels.recording import RecordingChannel
from inventory.alerts.delivering import channel_of, deliver, signing_secret, waiting
from inventory.alerts.sweep import sweep
from inventory.models import AlertRun, Delivery
from tests import factories
from tests.factories import DAY, NOW
from tests.inventory.alerts.conftest import recipient
from tests.parallel import beside

CONTENT: dict[str, Any] = {
    "run": 1,
    "portal": [{"kind": "crl", "about": "mfg-1/0", "ends_at": (NOW + DAY).isoformat(), "level": 1}],
    "devices": [
        {
            "policy": "Meters",
            "level": 2,
            "threshold": 30,
            "count": 50_000,
            "late": 12,
            "soonest": (NOW + 20 * DAY).isoformat(),
        }
    ],
    "soonest": [
        {
            "device": "D1",
            "fleet": "demo",
            "certificate": "5abc",
            "ends_at": (NOW + 20 * DAY).isoformat(),
            "threshold": 30,
            "level": 2,
        }
    ],
}


def delivery(to=None) -> Delivery:
    run, _ = AlertRun.objects.get_or_create(started_at=NOW, finished_at=NOW)
    return Delivery.objects.create(
        run=run, recipient=to or recipient("ops"), content=CONTENT, certificates=50_001, created_at=NOW
    )


class Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, dict(self.headers), body))
        status = self.server.answers.pop(0) if self.server.answers else 204
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def served(server: socketserver.BaseServer) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def _loopback_allowed(settings) -> None:
    """The servers of these tests listen where webhooks do not go by themselves."""
    settings.WEBHOOK_NETWORKS = [ip_network("127.0.0.0/8")]


@pytest.fixture
def hook() -> Iterator[Any]:
    """A real HTTP server that keeps what is posted; `answers` are the statuses of its next answers."""
    server = HTTPServer(("127.0.0.1", 0), Hook)
    server.received, server.answers = [], []
    server.url = f"http://127.0.0.1:{server.server_port}/hook?token=1"
    with served(server):
        yield server


class MailServer(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321) as a client needs to hand over a message."""

    def handle(self) -> None:
        self.say("220 test")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                self.say("354 go on")
                lines = []
                while (text := self.rfile.readline()) != b".\r\n":
                    lines.append(text)
                self.server.received.append(b"".join(lines).decode())
            self.say("221 bye" if verb == b"QUIT" else "250 ok")
            if verb == b"QUIT":
                return

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


# --- Signatures ------------------------------------------------------------------------------------------------------


def test_the_signature_is_that_of_the_reference_libraries():
    # The example of the Standard Webhooks reference libraries.
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    moment = timezone.datetime.fromtimestamp(1614265330, tz=timezone.get_default_timezone())
    assert signing.headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", moment, body) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.django_db
def test_each_recipient_has_a_secret_of_its_own_that_can_be_replaced():
    ops, boss = recipient("ops"), recipient("boss")
    first = signing_secret(ops)
    assert len(base64.b64decode(first.removeprefix("whsec_"))) == 32
    assert signing_secret(boss) != first
    ops.secret_number += 1
    assert signing_secret(ops) != first


# --- Channels over real sockets --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_webhook_arrives_signed_with_the_same_id_each_time(hook):
    to = recipient("hook", "webhook", hook.url)
    sent = delivery(to)
    hook.answers[:] = [500]
    assert deliver(sent.pk, NOW).problem == "127.0.0.1 answered 500"
    assert deliver(sent.pk, NOW + DAY).accepted
    (path, first, _body), (_path, second, body) = hook.received
    assert path == "/hook?token=1"
    assert first["webhook-id"] == second["webhook-id"] == f"msg_{sent.pk.hex}"
    key = base64.b64decode(signing_secret(to).removeprefix("whsec_"))
    signed = f"{second['webhook-id']}.{second['webhook-timestamp']}.".encode() + body
    assert second["webhook-signature"] == f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"
    told = json.loads(body)
    assert told["type"] == "alerts.digest"
    assert told["data"]["devices"][0]["count"] == 50_000


@pytest.mark.django_db
def test_a_redirect_is_a_refusal_and_is_not_followed(hook):
    sent = delivery(recipient("hook", "webhook", hook.url))
    hook.answers[:] = [302]
    assert not deliver(sent.pk, NOW).accepted
    assert len(hook.received) == 1


@pytest.mark.django_db
def test_slack_gets_text_in_which_no_name_is_a_mention(hook):
    content = {**CONTENT, "soonest": [{**CONTENT["soonest"][0], "device": "<!channel>"}]}
    sent = delivery(recipient("slack", "slack", hook.url))
    Delivery.objects.update(content=content)
    assert deliver(sent.pk, NOW).accepted
    text = json.loads(hook.received[0][2])["text"]
    assert "&lt;!channel&gt;" in text
    assert "50,000 device certificates end (level 2)" in text


@pytest.mark.django_db
def test_teams_gets_an_adaptive_card(hook):
    assert deliver(delivery(recipient("teams", "teams", hook.url)).pk, NOW).accepted
    card = json.loads(hook.received[0][2])["attachments"][0]["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert "50,000" in card["body"][0]["inlines"][0]["text"]


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["http://127.0.0.1:1/x", "ftp://127.0.0.1/x", "http://[", "https://"])
def test_an_address_that_does_not_answer_is_an_outcome_with_a_reason(address):
    sent = delivery(recipient("gone", "webhook", address))
    assert not deliver(sent.pk, NOW).accepted
    sent.refresh_from_db()
    assert sent.problem
    assert (sent.attempts, sent.tried_at, sent.delivered_at) == (1, NOW, None)


@pytest.mark.django_db
def test_a_digest_goes_to_a_real_mail_server(settings):
    server = socketserver.TCPServer(("127.0.0.1", 0), MailServer)
    server.received = []
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = server.server_address
    with served(server):
        sent = delivery()
        assert deliver(sent.pk, NOW).accepted
    [text] = server.received
    received = message_from_string(text, policy=policy.default)
    assert received["Subject"] == "certportal: 1 urgent matter, 50,000 device certificates end (level 2)"
    assert received["Message-ID"] == f"<msg_{sent.pk.hex}@certportal>"
    assert "D1 (demo): ends on 2027-03-21, in 20 d" in received.get_content()


@pytest.mark.django_db
def test_a_mail_server_that_is_down_is_an_outcome_with_a_reason(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    assert "mail server" in deliver(delivery().pk, NOW).problem


# --- At least once ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_delivered_digest_is_not_sent_again():
    channel = RecordingChannel()
    sent = delivery()
    for _ in range(3):
        assert deliver(sent.pk, NOW, lambda _to: channel).accepted
    assert len(channel.sent) == 1
    assert deliver(uuid4(), NOW).accepted


class Server(RecordingChannel):
    """Does something while the digest is on its way."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def send(self, message: Message) -> Handover:
        self.saw = self._meanwhile()
        return super().send(message)


def open_transactions() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"
        )
        return cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_a_server_takes_its_time():
    with ThreadPoolExecutor(1) as threads:
        server = Server(lambda: beside(threads, open_transactions).result())
        assert deliver(delivery().pk, NOW, lambda _to: server).accepted
    assert server.saw == 0


@pytest.mark.django_db(transaction=True)
def test_a_digest_on_its_way_is_left_to_the_worker_that_sends_it():
    sent, second = delivery(), RecordingChannel()
    with ThreadPoolExecutor(1) as threads:
        first = Server(lambda: beside(threads, lambda: deliver(sent.pk, NOW, lambda _to: second)).result())
        deliver(sent.pk, NOW, lambda _to: first)
    assert first.saw.accepted
    assert (len(first.sent), len(second.sent)) == (1, 0)


@pytest.mark.django_db
def test_a_crash_after_sending_sends_again_under_the_same_id():
    def die() -> None:
        raise KeyboardInterrupt

    sent, channel = delivery(), RecordingChannel()
    with pytest.raises(KeyboardInterrupt):
        deliver(sent.pk, NOW, lambda _to: Server(die))
    assert waiting(NOW) == [sent.pk]
    assert deliver(sent.pk, NOW, lambda _to: channel).accepted
    assert [message.id for message in channel.sent] == [f"msg_{sent.pk.hex}"]


@pytest.mark.django_db
def test_a_refused_digest_waits_an_hour_and_is_found_again():
    sent = delivery()
    assert waiting(NOW) == [sent.pk]
    deliver(sent.pk, NOW, lambda _to: RecordingChannel("closed"))
    assert waiting(NOW + DAY / 25) == []
    assert waiting(NOW + DAY / 23) == [sent.pk]


@pytest.mark.django_db
def test_every_channel_has_a_way(db):
    for channel in ("email", "webhook", "slack", "teams"):
        assert channel_of(recipient(channel, channel, f"https://{channel}.example")) is not None


@pytest.fixture
def queue():
    connection = django_rq.get_connection("default")
    connection.flushdb()
    yield django_rq.get_queue("default")
    connection.flushdb()


@pytest.mark.django_db(transaction=True)
def test_a_worker_sends_what_a_sweep_wrote_and_a_lost_queue_loses_nothing(intermittent, queue):
    factories.enrolled(factories.device(connectivity="intermittent"), expires_in=20 * DAY, now=timezone.now())
    sweep(timezone.now())
    jobs.enqueue_deliveries()
    jobs.enqueue_deliveries()
    assert queue.count == 1
    queue.connection.flushdb()
    jobs.enqueue_deliveries()
    SimpleWorker([queue], connection=queue.connection, serializer=queue.serializer).work(burst=True)
    assert [message.subject for message in mail.outbox] == ["certportal: 1 device certificate ends"]
    assert Delivery.objects.get().delivered_at is not None
    jobs.enqueue_deliveries()
    assert queue.count == 0


@pytest.mark.django_db(transaction=True)
def test_a_refused_webhook_is_tried_again_by_the_queue(queue, hook):
    hook.answers[:] = [503]
    delivery(recipient("hook", "webhook", hook.url))
    jobs.enqueue_deliveries()
    SimpleWorker([queue], connection=queue.connection, serializer=queue.serializer).work(burst=True)
    assert len(hook.received) == 1
    assert len(queue.scheduled_job_registry) == 1
    [job_id] = queue.scheduled_job_registry.get_job_ids()
    queue.enqueue_job(queue.fetch_job(job_id))
    SimpleWorker([queue], connection=queue.connection, serializer=queue.serializer).work(burst=True)
    assert Delivery.objects.get().delivered_at is not None
    ids = {headers["webhook-id"] for _path, headers, _body in hook.received}
    assert len(hook.received) == 2
    assert len(ids) == 1
