"""The field team's list on a phone's screen: log in, open an order, two taps, and it is closed, also without a network.

Screenshots are kept in `test-artifacts/`.
"""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.line import Line, line_to
from tests.e2e.running_portal import FLEET, RunningPortal
from tests.e2e.windows import DESK, PHONE, fits, listen

_PASSWORD = "a long enough password"
_MOST_BYTES = 60_000
_METERS = ("FIELD-1", "FIELD-2", "FIELD-3", "FIELD-4", "FIELD-5")
# Silent devices of a campaign, given to the team of somebody who is in the field.
_PLANT = f"""
from django.contrib.auth.models import Group
from django.utils import timezone
from certportal.models import User
from inventory.models import Device, Fleet, FleetMembership, Site
from renewal.field import opening
from renewal.models import Campaign, DeviceNote, Target, Team, WorkOrder
from datetime import timedelta
now, fleet = timezone.now(), Fleet.objects.get(slug={FLEET!r})
campaign = Campaign.objects.filter(state="running").first()
site = Site.objects.get(fleet=fleet, name="Penang")
devices = Device.objects.filter(serial__in={_METERS!r})
for number, device in enumerate(devices.order_by("serial")):
    Device.objects.filter(pk=device.pk).update(site=site, latitude=f"5.41{{number}}", longitude="100.3288")
    Target.objects.create(
        campaign=campaign, device=device, certificate=device.certificates.get(), state="escalated",
        ends_at=device.certificates.get().not_after, reason="no_answer", escalated_at=now,
        triggered_at=now - timedelta(days=20), attempts_made=5,
    )
    DeviceNote.objects.create(device=device, model="E450", battery="ER34615, 2024-03", sim="Maxis")
opening.open_due(now, timedelta(days=60), timedelta(days=30))
ali = User.objects.create_user("ali", password={_PASSWORD!r}, is_staff=True)
ali.groups.add(Group.objects.get(name="field"))
FleetMembership.objects.create(user=ali, fleet=fleet)
team = Team.objects.create(fleet=fleet, name="Penang north")
team.members.add(ali)
WorkOrder.objects.filter(device__in=devices).update(team=team, assigned_to=ali)
"""
# The device comes back: it has fetched a certificate and uses it.
_RETURN = """
from django.utils import timezone
from inventory.audit.record import SYSTEM
from inventory.issuing.certificates import Admission, issue
from inventory.models import Device
from inventory.sightings import record_sighting
from inventory.x509.csr import parse
device = Device.objects.select_related("fleet__authority", "fleet__profile").get(serial={serial!r})
request = parse(bytes.fromhex({request!r}))
made = issue(Admission(device, device.fleet.profile, device.fleet.authority, request, SYSTEM), timezone.now())
record_sighting(made, device, now=timezone.now(), actor=SYSTEM)
"""


@pytest.fixture(scope="module")
def meters(portal: RunningPortal):
    made = portal.lab_devices(_METERS)
    portal.manage("shell", "--no-imports", "-c", _PLANT)
    return {each.serial: each for each in made}


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def line(portal: RunningPortal) -> Iterator[Line]:
    """What the phone reaches the portal by."""
    with line_to(portal.ports[0]) as made:
        yield made


@pytest.fixture
def page(browser: Browser, line: Line, meters, scheme: str, complaints: list[str]) -> Iterator[Page]:
    """The phone of Ali, who has just opened the list."""
    context = browser.new_context(base_url=line.url, viewport=PHONE, color_scheme=scheme, has_touch=True)
    opened = context.new_page()
    listen(opened, complaints)
    opened.goto("/field/")
    opened.get_by_label("Username").fill("ali")
    opened.get_by_label("Password").fill(_PASSWORD)
    opened.get_by_role("button", name="Log in").tap()
    expect(opened.locator("h1")).to_contain_text("work order")
    yield opened
    context.close()


@pytest.fixture
def desk(browser: Browser, portal: RunningPortal, meters, scheme: str, complaints: list[str]) -> Iterator[Page]:
    """The window of a dispatcher."""
    context = browser.new_context(base_url=portal.portal_url, viewport=DESK, color_scheme=scheme)
    opened = context.new_page()
    listen(opened, complaints)
    opened.goto("/admin/renewal/workorder/")
    opened.get_by_label("Username").fill("admin")
    opened.get_by_label("Password").fill(portal.password)
    opened.get_by_role("button", name="Log in").click()
    yield opened
    context.close()
    assert complaints == []


def outcome_of(portal: RunningPortal, serial: str) -> list[tuple]:
    return portal.rows(
        "SELECT o.outcome, o.closed_by FROM renewal_workorder o JOIN inventory_device d ON d.id = o.device_id"
        " WHERE d.serial = %s",
        serial,
    )


def keep(page: Page, artifacts, name: str, scheme: str) -> None:
    page.screenshot(path=artifacts / f"field-{name}-{scheme}.png", full_page=True)


def test_two_taps_close_an_order_and_the_page_hears_of_the_device(page, portal, meters, artifacts, scheme, complaints):
    serial = "FIELD-1" if scheme == "light" else "FIELD-2"
    keep(page, artifacts, "list", scheme)
    assert fits(page)
    page.locator(f"a[data-order]:has-text('{serial}')").tap()
    expect(page.locator("h1")).to_have_text(serial)
    keep(page, artifacts, "order", scheme)
    assert fits(page)
    page.locator("summary", has_text="Renewed on site").tap()
    keep(page, artifacts, "outcome", scheme)
    page.get_by_role("button", name="Close: renewed on site").tap()
    expect(page.locator("#state")).to_contain_text("Closed: renewed on site")
    assert outcome_of(portal, serial) == [("renewed_on_site", "ali")]

    request = meters[serial].renewal_request().hex()
    portal.manage("shell", "--no-imports", "-c", _RETURN.format(serial=serial, request=request))
    expect(page.locator("#state")).to_contain_text("Seen with the new certificate")
    keep(page, artifacts, "seen", scheme)
    assert complaints == []


def test_what_was_found_without_a_network_is_sent_when_it_is_back(page, line, portal, artifacts, scheme):
    serial = "FIELD-3" if scheme == "light" else "FIELD-4"
    expect(page.locator("#copied")).to_contain_text("on this phone")
    line.cut()
    page.locator(f"a[data-order]:has-text('{serial}')").tap()
    expect(page.locator("h1")).to_have_text(serial)
    page.locator("summary", has_text="Dead zone").tap()
    page.get_by_role("button", name="Close: dead zone").tap()
    expect(page.locator("#line")).to_contain_text("waits for a network")
    keep(page, artifacts, "offline", scheme)
    page.get_by_role("link", name="orders").tap()
    expect(page.locator(f"a[data-order].waits:has-text('{serial}')")).to_be_visible()
    assert outcome_of(portal, serial) == [("", "")]
    line.mend()
    # As when the phone is taken out of the pocket.
    page.reload()
    expect(page.locator("#line")).to_be_hidden()
    expect(page.locator(f"a[data-order]:has-text('{serial}')")).to_be_hidden()
    assert outcome_of(portal, serial) == [("dead_zone", "ali")]


def test_a_page_and_all_it_needs_is_small(page):
    sizes: list[int] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    session.send("Network.setBypassServiceWorker", {"bypass": True})
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    # The network idles once the phone has its copies.
    expect(page.locator("#copied")).to_contain_text("on this phone")
    page.goto(page.locator("a[data-order]").first.get_attribute("href") or "", wait_until="networkidle")
    assert 0 < sum(sizes) < _MOST_BYTES


def test_a_dispatcher_gives_what_is_listed_to_a_team(desk, portal, artifacts, scheme):
    expect(desk.locator("#result_list")).to_be_visible()
    desk.screenshot(path=artifacts / f"field-desk-{scheme}.png")
    assert fits(desk)
    desk.goto(f"/admin/renewal/workorder/?team={team_of(portal)}")
    desk.get_by_role("link", name="Assign what is listed").click()
    desk.get_by_label("Team").select_option(label="Penang north, Demo meters")
    desk.screenshot(path=artifacts / f"field-assign-{scheme}.png")
    desk.get_by_role("button", name=re.compile("Assign [0-9]+ order")).click()
    expect(desk.locator(".messagelist")).to_contain_text("assigned")


def test_the_page_of_an_order_leads_to_the_phone(desk, artifacts, scheme):
    desk.locator("#result_list a", has_text="page").first.click()
    to_the_phone = desk.get_by_role("link", name="its page on a phone")
    # A page that is just being left cannot be taken.
    expect(to_the_phone).to_be_visible()
    desk.screenshot(path=artifacts / f"field-desk-order-{scheme}.png")
    to_the_phone.click()
    expect(desk.locator("#state")).to_be_visible()


def team_of(portal: RunningPortal) -> int:
    return portal.number("SELECT id FROM renewal_team WHERE name = 'Penang north'")
