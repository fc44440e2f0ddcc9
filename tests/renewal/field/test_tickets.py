"""One ticket a work order, whatever the ticket system does with a request."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from urllib.parse import parse_qs, urlsplit

import pytest

from inventory.audit.record import SYSTEM
from renewal import jobs
from renewal.field import closing
from renewal.field.closing import Finding
from renewal.field.tickets import configured, delivering
from renewal.field.tickets.configured import Connection
from renewal.field.tickets.systems import Jira, ServiceNow
from renewal.models import Outcome, Ticket, WorkOrder
from tests.factories import DAY, NOW
from tests.parallel import at_once
from tests.renewal.field.rows import opened

# Waits of the tests themselves: long where something must come, short where nothing does.
SOON, LONG = 0.3, 20.0


class Desk(BaseHTTPRequestHandler):
    """A ticket system as both products are: it makes a ticket for each POST, and finds tickets by what they carry.

    `server.moods` says for each next POST what becomes of it: "500", "hang" (taken, never answered until `go`), "lost"
    (taken, and the connection closed), "twice" (answered two times), "junk" (answered with something else).
    """

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        [wanted] = query["jql" if "jql" in query else "sysparm_query"]
        found = [each for each in self.server.tickets if each["mark"] in wanted]
        name = "issues" if "jql" in query else "result"
        self.say(200, {name: [self.named(each) for each in found]})

    def do_POST(self) -> None:
        body = self.body()
        self.server.received.append((self.path, dict(self.headers), body))
        if self.path.endswith("/transitions"):
            self.server.closed.append(self.path.split("/")[-2])
            self.say(204, None)
            return
        mood = self.server.moods.pop(0) if self.server.moods else ""
        if mood == "500":
            self.say(500, {"why": "trouble"})
            return
        if mood == "slow":
            # Makes the ticket when the client has long gone.
            self.server.go.wait(LONG)
        mark = body.get("correlation_id") or body["fields"]["labels"][1]
        self.server.tickets.append(made := {"mark": mark, "number": len(self.server.tickets) + 1})
        if mood in {"lost", "slow"}:
            self.close_connection = True
        elif mood == "hang":
            self.server.go.wait(LONG)
            self.close_connection = True
        elif mood == "junk":
            self.say(201, {"key": "../../admin", "result": []})
        else:
            said = self.named(made) if "fields" in body else {"result": self.named(made)}
            for _ in range(2 if mood == "twice" else 1):
                self.say(201, said)

    def do_PATCH(self) -> None:
        self.server.closed.append(self.path.split("/")[-1])
        self.server.received.append((self.path, dict(self.headers), self.body()))
        self.say(200, {"result": {}})

    def body(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def named(self, ticket):
        number = ticket["number"]
        return {"key": f"FLD-{number}", "number": f"INC{number:07}", "sys_id": f"{number:032x}"}

    def say(self, status, said) -> None:
        content = b"" if said is None else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def desk(settings):
    settings.WEBHOOK_NETWORKS = [ip_network("127.0.0.0/8")]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
    server.daemon_threads = True
    server.tickets, server.closed, server.received, server.moods = [], [], [], []
    server.go = threading.Event()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.go.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(params=["jira", "servicenow"])
def connection(request, desk) -> Connection:
    system = Jira("FLD", "31") if request.param == "jira" else ServiceNow("incident", "7")
    return Connection(system, f"http://127.0.0.1:{desk.server_port}/", "Bearer secret")


pytestmark = pytest.mark.django_db


def rounds(connection: Connection, number: int, *, seconds: float = LONG, start=NOW) -> None:
    """Let the periodic job run that often, each time when what failed before is due again."""
    for day in range(number):
        now = start + day * DAY
        delivering.note_due(now)
        while delivering.deliver_next(connection, now, seconds):
            pass


def close(order: WorkOrder, outcome: Outcome = Outcome.DEAD_ZONE) -> None:
    closing.close(order.pk, Finding(outcome, note="no bars"), now=NOW, actor=SYSTEM)


def test_each_order_gets_one_ticket_with_what_it_is_about(desk, connection):
    _meters, orders = opened(3)
    rounds(connection, 3)
    assert len(desk.tickets) == 3
    assert {ticket.key for ticket in Ticket.objects.all()} in (
        {"FLD-1", "FLD-2", "FLD-3"}, {"INC0000001", "INC0000002", "INC0000003"},
    )  # fmt: skip
    _path, headers, body = desk.received[0]
    assert headers["Authorization"] == "Bearer secret"
    assert headers["Idempotency-Key"] in json.dumps(body)
    text = json.dumps(body)
    assert any(order.device.serial in text and f"/field/{order.pk}/" in text for order in orders)


@pytest.mark.parametrize("mood", ["500", "hang", "lost", "slow", "twice"])
def test_whatever_the_answer_there_is_one_ticket(desk, connection, mood):
    _meters, [order] = opened()
    desk.moods = [mood]
    rounds(connection, 1, seconds=SOON if mood in {"hang", "slow"} else LONG)
    desk.go.set()
    until(lambda: mood == "500" or len(desk.tickets) == 1)
    rounds(connection, 2, start=NOW + DAY)
    assert len(desk.tickets) == 1
    ticket = Ticket.objects.get(order=order)
    assert ticket.key and ticket.problem == "" and ticket.next_try_at is None


def until(holds) -> None:
    """Return once the desk has come so far."""
    waited = threading.Event()
    for _ in range(2000):
        if holds():
            return
        waited.wait(0.01)
    raise AssertionError("The desk did not come so far.")


def test_trouble_is_told_and_tried_again_at_growing_distances(desk, connection):
    _meters, [order] = opened()
    desk.moods = ["500", "500"]
    delivering.note_due(NOW)
    assert delivering.deliver_next(connection, NOW, LONG)
    ticket = Ticket.objects.get(order=order)
    assert ticket.problem == "127.0.0.1 answered 500"
    assert ticket.next_try_at is not None
    first = ticket.next_try_at - NOW
    assert not delivering.deliver_next(connection, NOW + first / 2, LONG)
    assert delivering.deliver_next(connection, NOW + first, LONG)
    ticket.refresh_from_db()
    assert ticket.next_try_at == NOW + 3 * first


def test_an_address_out_of_the_answer_is_not_believed(desk, connection):
    _meters, [order] = opened()
    desk.moods = ["junk"]
    rounds(connection, 1)
    assert Ticket.objects.get(order=order).reference == ""
    assert "something else" in Ticket.objects.get(order=order).problem


def test_the_ticket_closes_once_with_its_order(desk, connection):
    _meters, [order] = opened()
    rounds(connection, 1)
    close(order)
    rounds(connection, 3, start=NOW + DAY)
    ticket = Ticket.objects.get(order=order)
    assert desk.closed == [ticket.reference] and ticket.closed_at is not None
    assert "no bars" in json.dumps(desk.received[-1][2])


def test_an_order_that_ends_before_its_ticket_is_made_gets_none(desk, connection):
    _meters, [order] = opened()
    delivering.note_due(NOW)
    close(order)
    rounds(connection, 2)
    assert desk.tickets == [] and Ticket.objects.get(order=order).next_try_at is None


def test_an_order_that_ends_while_its_answer_is_lost_closes_the_ticket_it_had(desk, connection):
    _meters, [order] = opened()
    desk.moods = ["lost"]
    rounds(connection, 1)
    close(order)
    rounds(connection, 2, start=NOW + DAY)
    assert len(desk.tickets) == len(desk.closed) == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_make_each_ticket_once(desk, connection):
    opened(6)
    at_once([lambda: rounds(connection, 1)] * 3)
    assert len(desk.tickets) == 6


def test_an_address_that_webhooks_may_not_reach_is_not_reached(desk, connection, settings):
    settings.WEBHOOK_NETWORKS = []
    _meters, [order] = opened()
    rounds(connection, 1)
    assert desk.received == [] and "loopback" in Ticket.objects.get(order=order).problem


def test_without_a_system_no_ticket_is_noted(settings):
    opened()
    jobs.keep_tickets()
    assert not Ticket.objects.exists()


def test_a_system_that_there_is_not_is_named_with_those_that_there_are(settings):
    settings.TICKETS = "bugzilla"
    with pytest.raises(ValueError, match="jira, jira-cloud, servicenow"):
        configured.connection()


def test_the_job_makes_tickets_where_the_settings_say(desk, settings):
    settings.TICKETS, settings.TICKETS_PLACE = "jira-cloud", "FLD"
    settings.TICKETS_URL = f"http://127.0.0.1:{desk.server_port}"
    opened(2)
    jobs.keep_tickets()
    assert len(desk.tickets) == 2
