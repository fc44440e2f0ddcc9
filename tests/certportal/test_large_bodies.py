"""Large bodies: taken from who is known and may send them, and from nobody else, before a byte of them is read."""

import io
import json

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from certportal.api.tokens import create_token
from certportal.models import User
from certportal.wsgi import large_bodies
from certportal.wsgi.body import LARGEST, BoundedBody
from inventory.audit.record import SYSTEM
from inventory.importing.uploads import MAX_BYTES
from tests.certportal.test_body import Response

# Committed: the connection is given back once the sender was asked for.
pytestmark = pytest.mark.django_db(transaction=True)

BEGIN = "/admin/inventory/importrun/begin/"
API = "/api/v1/imports/"


class Unread(io.BytesIO):
    """A body that only who may send it gets to send."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.reads_before_the_answer = 0
        self.answered = False

    def read(self, size=-1):
        self.reads_before_the_answer += not self.answered
        return super().read(size)


def send(path: str, length: int, **environ: str) -> tuple[Response, Unread]:
    response, stream = Response(), Unread(b"x" * length)

    def start_response(status, headers):
        stream.answered = True
        response.start_response(status, headers)

    def count(environ, start):
        start("200 OK", [])
        return [str(len(environ["wsgi.input"].read())).encode()]

    given = {
        "wsgi.input": stream,
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(length),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        **environ,
    }
    guarded = BoundedBody(count, allowance=large_bodies.allowance, render=large_bodies.render)
    response.body = b"".join(guarded(given, start_response))
    return response, stream


def person(*permissions: str, staff: bool = True) -> User:
    made = User.objects.create_user("ops", is_staff=staff)
    made.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return made


def cookie(user: User) -> str:
    client = Client()
    client.force_login(user)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def bearer(user: User, *scopes: str) -> str:
    _, secret = create_token(user, name="t", scopes=scopes, lifetime=None, now=timezone.now(), actor=SYSTEM)
    return f"Bearer {secret}"


@pytest.mark.parametrize("path", ["/admin/login/", BEGIN, "/admin/", API, "/api/v1/devices/"])
def test_a_stranger_sends_a_form_and_no_more_and_more_is_not_read(path):
    assert send(path, LARGEST)[0].status == "200 OK"
    response, stream = send(path, LARGEST + 1)
    assert response.status.split()[0] in {"401", "403"}
    assert stream.reads_before_the_answer == 0


@pytest.mark.parametrize("path", ["/nowhere/", "/static/x", "/api/nowhere/"])
def test_where_nothing_is_nothing_large_is_read(path):
    response, stream = send(path, LARGEST + 1)
    assert response.status.split()[0] in {"403", "404"}
    assert stream.reads_before_the_answer == 0


def test_who_may_import_sends_a_file_in_the_browser():
    who = cookie(person("add_importrun"))
    response, _ = send(BEGIN, MAX_BYTES, HTTP_COOKIE=who)
    assert response.body == str(MAX_BYTES).encode()
    response, stream = send(BEGIN, MAX_BYTES + (64 << 10) + 1, HTTP_COOKIE=who)
    assert response.status == "413 Content Too Large"
    assert stream.reads_before_the_answer == 0


def test_staff_without_the_permission_sends_no_file_but_what_a_page_may_need():
    who = cookie(person())
    assert send(BEGIN, LARGEST + 1, HTTP_COOKIE=who)[0].status == "403 Forbidden"
    largest = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert send("/admin/", largest, HTTP_COOKIE=who)[0].status == "200 OK"
    assert send("/admin/", largest + 1, HTTP_COOKIE=who)[0].status == "413 Content Too Large"


def test_who_is_no_staff_is_a_stranger_in_the_browser():
    assert send(BEGIN, LARGEST + 1, HTTP_COOKIE=cookie(person("add_importrun", staff=False)))[0].status.startswith(
        "403"
    )


def test_a_token_that_may_import_sends_a_file_and_another_is_told_in_json_what_it_lacks():
    owner = person("add_importrun", "view_importrun")
    allowed = bearer(owner, "imports:write")
    assert send(API, MAX_BYTES, HTTP_AUTHORIZATION=allowed)[0].status == "200 OK"
    owner.user_permissions.clear()
    response, stream = send(API, LARGEST + 1, HTTP_AUTHORIZATION=allowed)
    assert response.status == "403 Forbidden"
    assert response.headers["Content-Type"] == "application/json"
    assert "add_importrun" in json.loads(response.body)["error"]["message"]
    assert stream.reads_before_the_answer == 0


def test_a_chunked_body_is_measured_before_its_sender_is_asked_for():
    response, _ = send(API, LARGEST + 1, CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked")
    assert response.status == "401 Unauthorized"
    owner = bearer(person("add_importrun", "view_importrun"), "imports:write")
    response, _ = send(API, LARGEST * 3, CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked", HTTP_AUTHORIZATION=owner)
    assert response.body == str(LARGEST * 3).encode()


def test_a_file_is_refused_while_the_disk_has_only_its_reserve(monkeypatch):
    monkeypatch.setattr(large_bodies, "RESERVE", 1 << 62)
    response, _ = send(BEGIN, LARGEST + 1, HTTP_COOKIE=cookie(person("add_importrun")))
    assert response.status == "507 Insufficient Storage"
    assert list((settings.HOME / "spool").iterdir()) == []


def test_the_real_addresses_of_the_portal_are_guarded():
    from certportal.wsgi import portal

    assert isinstance(portal.application, BoundedBody)
