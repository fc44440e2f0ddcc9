"""Every address, as every role, with every method, of a row in and out of the fleets: as `table` says.

Pages are not rendered: what they show has its own test, and here only who gets an answer is asked.
"""

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import transaction
from django.http import HttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import Client

from certportal import roles
from certportal.models import User
from renewal.models import Team
from tests.certportal.access import table, values
from tests.certportal.access.addresses import Address, addresses
from tests.certportal.access.asking import BY_SESSION, Portal
from tests.certportal.access.two_fleets import OneFleet, member, plant, plant_portal

pytestmark = pytest.mark.long

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# These differ from GET, or from each other, for nobody: who may least and who may most ask them.
_ASKED_BY_TWO = {"HEAD", "PUT", "DELETE", "OPTIONS"}
_TWO = {"nobody", "superuser"}
# The description of the API takes seconds to make, and is the same for all.
_SLOW = {"api-schema", "api-docs"}
# What POST needs to come as far as the row: bodies that say nothing are refused before.
_BODIES = {
    "api:approvals-decide": {"approves": False},
    "api:cases-decide": {"agrees": True},
    "api:escalations-close": {"outcome": "dead_zone"},
    "api:alerts-mute": {"until": "2099-01-01T00:00:00Z", "reason": "x"},
}
ANSWERED, DENIED, LOGIN, UNKNOWN_METHOD = "answered", "denied", "login", "unknown method"


class Unrendered:
    """Answers with the status of a page, without the page."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self.get_response(request)

    def process_template_response(self, request: Any, response: Any) -> Any:
        if isinstance(response, TemplateResponse):
            response.template_name = engines["django"].from_string("")
        return response


@dataclass(frozen=True)
class Asker:
    """Who asks. `user` None: nobody."""

    name: str
    user: User | None
    portal: Portal

    def may(self, need: str, address: Address) -> bool:
        if self.user is None:
            return need == table.ANYBODY
        portal = need.endswith(table.PORTAL)
        if portal and not (self.user.is_superuser or self.user.all_fleets):
            return False
        need = need.removesuffix(table.PORTAL)
        if need in {table.ANYBODY, table.STAFF}:
            return True
        if need in {table.NOBODY, "own"}:
            return False
        if need == "any permission of the app":
            return self.user.has_module_perms("inventory")
        if need in {table.VIEW, table.ADD, table.CHANGE, table.DELETE}:
            app, model = table.model_of(address)
            verbs = ["view", "change"] if need == table.VIEW and address.name.startswith("admin:") else [need]
            return any(self.user.has_perm(f"{app}.{verb}_{model}") for verb in verbs)
        return self.user.has_perms(need.split())


@pytest.fixture(autouse=True)
def _silent():
    """Each refusal would be a line of the log."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def planted(module_db) -> tuple[OneFleet, OneFleet]:
    roles.make_missing()
    fleets = plant("Wqavo"), plant("Zxuko")
    portal = plant_portal()
    for each in fleets:
        each.rows |= portal
    return fleets


@pytest.fixture
def fleets(planted, db, settings) -> tuple[OneFleet, OneFleet]:
    settings.API_REQUESTS_PER_MINUTE = settings.API_ANONYMOUS_REQUESTS_PER_MINUTE = 10**9
    # Ten thousand requests: what decides nothing about access is left out.
    settings.MIDDLEWARE = [
        *(each for each in settings.MIDDLEWARE if each not in _ASIDE),
        f"{__name__}.Unrendered",
    ]
    cache.clear()
    return planted


_ASIDE = {
    BY_SESSION, "csp.middleware.CSPMiddleware", "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware", "django_structlog.middlewares.RequestMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
}  # fmt: skip
_ALL_FLEETS, _NO_PERMISSION = "administrator of all fleets", "staff without a permission"
ASKERS = ("nobody", *roles.ROLES, _ALL_FLEETS, _NO_PERMISSION, "superuser")


def asking(name: str, ours: OneFleet) -> Asker:
    if name == "nobody":
        user = None
    elif name == "superuser":
        user = User.objects.create_superuser("boss")
    else:
        user = member(name, all_fleets=True) if name == _ALL_FLEETS else member(name, ours)
        role = "administrator" if name == _ALL_FLEETS else name
        user.groups.add(*Group.objects.filter(name=role))
        # Whoever is of no team sees no order: `tests/renewal/field/test_scope.py`.
        Team.objects.get(pk=ours.rows["renewal_team"]).members.add(user)
    return Asker(name, user, Portal(user))


def ask(asker: Asker, address: Address, path: str, method: str) -> HttpResponse:
    """Send the request, and take back what it did."""
    body = _BODIES.get(address.name, {}) if method in {"POST", "PATCH"} else None
    options: dict[str, Any] = {"headers": {"If-Match": "*"}}
    if body is not None and address.name.startswith("api:"):
        options |= {"data": body, "content_type": "application/json"}
    before = transaction.savepoint()
    response: Any = asker.portal.ask(method, path, **options)
    if response.streaming:
        # To its end: only then all was asked.
        deque(response.streaming_content, maxlen=0)
    transaction.savepoint_rollback(before)
    transaction.set_rollback(False)
    return response


def outcome(address: Address, response: Any) -> str:
    where = response.headers.get("Location", "")
    if response.status_code == 401 or where.startswith("/admin/login/"):
        return LOGIN
    # The admin leads from a row that there is not to its index.
    if response.status_code in {403, 404} or (where == "/admin/" and values.row_of(address)):
        return DENIED
    return UNKNOWN_METHOD if response.status_code == 405 else ANSWERED


def expected(asker: Asker, address: Address, rule: table.Rule, method: str, *, of_ours: bool) -> set[str]:
    need = rule.of(method)
    if address.name == "admin:logout":
        return {ANSWERED, UNKNOWN_METHOD}
    if method == "OPTIONS":
        # What an address can do is told to who is logged in, or to anybody where anybody may ask.
        told = {ANSWERED, DENIED, UNKNOWN_METHOD}
        if rule.get == table.NOBODY:
            return told | {LOGIN}
        return told if asker.user or rule.get == table.ANYBODY else {LOGIN, UNKNOWN_METHOD}
    if not need:
        return {UNKNOWN_METHOD, DENIED, LOGIN}
    if need == table.NOBODY:
        return {DENIED, UNKNOWN_METHOD, LOGIN} - ({LOGIN} if asker.user else set())
    if not asker.may(need, address):
        return {LOGIN} if asker.user is None else {DENIED}
    sees_theirs = asker.user is None or asker.user.is_superuser or asker.user.all_fleets
    row = values.row_of(address)
    if row in _OF_FLEETS and not (of_ours or sees_theirs) and need != table.STAFF:
        return {DENIED}
    if row in _OF_PORTAL and not sees_theirs and need != table.STAFF:
        return {DENIED}
    return {ANSWERED}


_OF_PORTAL = {"inventory_recipient", "inventory_delivery"}
_OF_FLEETS = {
    "inventory_fleet", "inventory_site", "inventory_batch", "inventory_profile", "inventory_authority",
    "inventory_device", "inventory_certificate", "inventory_auditevent", "inventory_case",
    "inventory_proposal",
    "inventory_unexpectedsighting", "inventory_importrun", "inventory_alert", "inventory_alertpolicy",
    "inventory_mute", "inventory_expireddevice", "inventory_revokeddevice", "renewal_campaign", "renewal_target",
    "renewal_workorder", "renewal_team", "renewal_devicenote",
    "renewal_gateway", "renewal_rehearsal",
    "revocation_crl", "certportal_savedfilter", "slug_fleet", "slug_profile", "slug_authority",
}  # fmt: skip
# Rows that none of our fixtures has: people, roles and tokens, of which the permissions alone decide.
_UNPLANTED = ("certportal_user", "auth_group", "certportal_apitoken")


def cells(ours: OneFleet, theirs: OneFleet) -> Iterator[tuple[Address, table.Rule, str, bool]]:
    """Yield the addresses of the portal with their rules and paths, of our row and, where there is one, of theirs."""
    for address in addresses("portal"):
        rule = table.rule_for(address)
        assert rule is not None, f"{address.name} is not in the table: say who may ask it, and of whose rows."
        if values.row_of(address) in _UNPLANTED:
            continue
        path = address.path(values.of(address, ours))
        yield address, rule, path, True
        other = address.path(values.of(address, theirs))
        if other != path:
            yield address, rule, other, False


@pytest.mark.parametrize("name", ASKERS)
def test_every_address_answers_whom_the_table_says_and_nobody_else(fleets, name, record_property):
    ours, theirs = fleets
    asker = asking(name, ours)
    wrong, counted = [], 0
    for address, rule, path, of_ours in cells(ours, theirs):
        for method in METHODS if address.name.startswith("api") else ("GET", "POST"):
            if (method in _ASKED_BY_TWO or address.name in _SLOW) and asker.name not in _TWO:
                continue
            if not of_ours and not asker.may(rule.of(method), address):
                # Refused before the row is looked for, as of ours.
                continue
            response = ask(asker, address, path, method)
            counted += 1
            right = expected(asker, address, rule, method, of_ours=of_ours)
            if response.status_code >= 500 or outcome(address, response) not in right:
                wrong.append(
                    f"{asker.name}: {method} {path} is {response.status_code}, not {' or '.join(sorted(right))}"
                )
    record_property("counted", f"{counted:,} answers compared with the table of access")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("plane", ["device", "status"])
def test_the_planes_of_machines_let_nobody_in_without_a_certificate_or_secret(db, settings, record_property, plane):
    settings.ROOT_URLCONF = f"certportal.urls.{plane}"
    settings.MIDDLEWARE = []
    client = Client(raise_request_exception=False)
    found = addresses(plane)
    for address, method in product(found, METHODS):
        path = PATHS.get(address.name) or address.path(values.of(address, OneFleet(None)))
        status = getattr(client, method.lower())(path).status_code
        public = address.name in PATHS or address.name == "healthz" or address.name.endswith(("cacerts", "csrattrs"))
        assert status < 500 or status == 503, (method, path, status)
        assert public or status >= 400, (method, path, status)
    record_property("counted", f"{len(found) * len(METHODS):,} answers of the {plane} plane")


# Of addresses without a name: status is public, and each pattern is written for its clients.
PATHS = {
    address.name: path
    for address, path in zip(
        [each for each in addresses("status") if each.name != "healthz"],
        ["/crl/none/all.crl", "/ocsp/none/", "/ca/none.cer", "/scep/none", "/bundle/none.pem"],
        strict=True,
    )
}

JUNK = ("0", "99999999999999999999", "-1", "x", "%00", "%F0%9F%92%A9", "1e3", "..", "__fk__1")


def test_no_junk_in_an_address_is_a_fault_of_ours(fleets, record_property):
    ours, _theirs = fleets
    boss = asking("superuser", ours)
    wrong, counted = [], 0
    for address in addresses("portal"):
        if not address.parameters:
            continue
        whole = address.path({**values.of(address, ours), **dict.fromkeys(_MARKED, "7777777")})
        for junk in JUNK:
            path = whole.replace("7777777", junk).replace("/none/", f"/{junk}/")
            counted += 1
            if (status := ask(boss, address, path, "GET").status_code) >= 500:
                wrong.append(f"GET {path} is {status}")
    record_property("counted", f"{counted:,} addresses with junk in them")
    assert not wrong, "\n".join(wrong)


_MARKED = ("pk", "object_id", "slug", "campaign_id", "id", "queue_index")
