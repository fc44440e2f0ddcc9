"""What people come for, from the dashboard: each in few clicks. Typing is not counted, a choice of a list is."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.running_portal import FLEET, RunningPortal, running_portal, until
from tests.e2e.windows import DESK, listen, log_in

pytestmark = pytest.mark.long(300)
_MOST_CLICKS = 6
# Workers take jobs within a minute, and machines differ.
_SECONDS = 300
_MILLISECONDS = _SECONDS * 1000
_MILLISECONDS_TO_A_PAGE = 60_000


class Hand:
    """Clicks, and counts them."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0

    def click(self, what: Locator) -> None:
        self.clicks += 1
        what.click()

    def link(self, name: str | re.Pattern[str], within: str = "body") -> None:
        exact = isinstance(name, str)
        self.click(self.page.locator(within).get_by_role("link", name=name, exact=exact).first)

    def button(self, name: str | re.Pattern[str]) -> None:
        self.click(self.page.get_by_role("button", name=name).first)

    def header(self, word: str) -> None:
        self.click(self.page.locator("#portal-nav").get_by_role("link", name=word, exact=True))

    def filter(self, title: str) -> None:
        self.click(self.page.locator(f"details[data-filter-title='{title}'] summary"))

    def choose(self, what: Locator, value: str) -> None:
        self.clicks += 1
        what.select_option(value)

    def download(self, name: str) -> Path:
        with self.page.expect_download(timeout=_MILLISECONDS) as download:
            self.link(name)
        return Path(download.value.path())


@pytest.fixture(scope="module")
def portal() -> Iterator[RunningPortal]:
    """A portal of its own: what is done here would change what others count."""
    with running_portal(devices=500, triggers_per_minute=36) as started:
        yield started


@pytest.fixture
def hand(browser: Browser, portal: RunningPortal) -> Iterator[Hand]:
    """On the dashboard; fails for more clicks than a task may take, and for whatever the browser complains of."""
    complaints: list[str] = []
    context = browser.new_context(base_url=portal.portal_url, viewport=DESK, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(_MILLISECONDS_TO_A_PAGE)
    listen(page, complaints)
    log_in(page, portal.password)
    used = Hand(page)
    yield used
    context.close()
    assert complaints == []
    assert used.clicks <= _MOST_CLICKS


def rows(page: Page) -> Locator:
    return page.locator("#result_list tbody tr")


def waited(portal: RunningPortal, what: str, query: str, *parameters: object) -> None:
    until(lambda: bool(portal.number(query, *parameters)), seconds=_SECONDS, what=what)


def test_what_ends_tomorrow(hand, portal):
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
    hand.header("Certificates")
    hand.filter("expiry")
    hand.link("tomorrow", within="#changelist-filter")
    number = portal.number(
        "SELECT count(*) FROM inventory_certificate WHERE (not_after AT TIME ZONE 'UTC')::date = %s", tomorrow
    )
    expect(hand.page.locator("h1")).to_have_text(f"Certificates that expire on {tomorrow}: {number}")


def test_a_cliff_is_found_and_its_campaign_planned_and_started(hand, portal):
    hand.link("plan a campaign", within="#needs")
    hand.button("Show what it would hold")
    hand.button(re.compile("^Plan a campaign for"))
    hand.link("Start…")
    hand.button("Start the campaign")
    expect(hand.page.locator("#progress")).to_contain_text("running")
    assert (
        portal.number("SELECT count(*) FROM renewal_campaign WHERE name LIKE 'Cliff of%%' AND state = 'running'") == 1
    )


def test_a_campaign_is_paused_and_resumed(hand, portal):
    state = "SELECT state FROM renewal_campaign WHERE name = 'Spring renewal'"
    hand.link("Spring renewal")
    hand.link("Pause…")
    hand.button("Pause the campaign")
    assert portal.rows(state) == [("paused",)]
    hand.link("Start…")
    hand.button("Start the campaign")
    assert portal.rows(state) == [("running",)]


def test_why_a_device_has_not_renewed(hand, portal):
    waited(portal, "A first trigger", "SELECT count(*) FROM renewal_attempt")
    [(serial,)] = portal.rows(
        "SELECT d.serial FROM renewal_target t JOIN inventory_device d ON d.id = t.device_id"
        " WHERE t.state IN ('planned', 'triggered') ORDER BY t.id DESC LIMIT 1"
    )
    hand.page.locator("#portal-search-box").fill(serial)
    hand.page.keyboard.press("Enter")
    expect(hand.page.get_by_label("What happens next")).to_contain_text("Campaign “")


def test_a_certificate_is_revoked_and_found_in_the_crl(hand, portal):
    [(number, serial)] = portal.rows(
        "SELECT id, serial FROM inventory_certificate WHERE state = 'confirmed' AND purpose = 'device'"
        " ORDER BY not_after DESC LIMIT 1"
    )
    hand.page.locator("#portal-search-box").fill(serial)
    hand.page.keyboard.press("Enter")
    hand.link(re.compile("^Revoke"), within="#content")
    hand.choose(hand.page.locator("select[name=reason]"), "keyCompromise")
    hand.button(re.compile("^Revoke"))
    waited(
        portal,
        "The CRL after the revocation",
        "SELECT count(*) FROM revocation_crl l JOIN inventory_certificate c ON c.authority_id = l.authority_id"
        " AND l.shard IS NULL AND l.published_at > c.revoked_at WHERE c.id = %s",
        number,
    )
    hand.header("CRLs")
    of_all = rows(hand.page).filter(has_text="Manufacturing").filter(has=hand.page.get_by_text("all", exact=True))
    hand.click(of_all.first.locator("a[href*='/revocation/crl/']").first)
    hand.page.get_by_label("Is it in? Serial number").fill(serial)
    hand.button("ask this CRL")
    expect(hand.page.get_by_role("status")).to_contain_text("In this CRL: revoked")


def test_a_device_is_found_by_the_start_of_its_serial(hand, portal):
    hand.page.locator("#portal-search-box").fill("SM00001")
    hand.page.keyboard.press("Enter")
    number = portal.number("SELECT count(*) FROM inventory_device WHERE serial LIKE 'SM00001%%'")
    expect(rows(hand.page)).to_have_count(number)


def test_a_narrowed_list_is_taken_along_as_csv_and_xlsx(hand, portal):
    hand.header("Devices")
    hand.filter("site")
    hand.link(re.compile("^Penang"), within="#changelist-filter")
    number = portal.number(
        "SELECT count(*) FROM inventory_device d JOIN inventory_site s ON s.id = d.site_id WHERE s.name = 'Penang'"
    )
    assert len(hand.download("CSV").read_text(encoding="utf-8-sig").splitlines()) == number + 1
    assert hand.download("workbook").read_bytes().startswith(b"PK")


def test_an_alert_is_muted_and_acknowledged(hand, portal):
    waited(portal, "An alert", "SELECT count(*) FROM inventory_alert WHERE acknowledged_at IS NULL")
    hand.header("Alerts")
    hand.click(rows(hand.page).first.locator("a[href*='/alert/']").first)
    hand.link("Mute", within="#content")
    hand.page.get_by_label("Until").fill(f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}")
    hand.page.get_by_label("Reason").fill("the site is rebuilt")
    hand.button("Mute it")
    hand.link("Acknowledge", within="#content")
    hand.button(re.compile("^Acknowledge 1 alert"))
    expect(hand.page.locator(".messagelist")).to_be_visible()
    assert portal.number("SELECT count(*) FROM inventory_mute") == 1
    assert portal.number("SELECT count(*) FROM inventory_alert WHERE acknowledged_by = 'admin'") == 1


def test_a_production_run_is_planned_and_the_profile_written_from_it(hand, portal):
    hand.header("Configuration")
    hand.link("Profiles", within="#content")
    hand.click(rows(hand.page).first.locator("th a").first)
    hand.link("Plan jitter")
    hand.page.get_by_label("Units a day").fill("2000")
    hand.page.get_by_label("Jitter up to, d").fill("45")
    hand.button("Simulate the run")
    hand.button(re.compile("into the profile$"))
    expect(hand.page.locator(".messagelist")).to_contain_text("The profile is written")
    assert portal.number("SELECT count(*) FROM inventory_profile WHERE jitter_max = interval '45 days'") == 1


def test_a_manifest_with_two_bad_rows_is_imported_and_its_rejects_fetched(hand, portal, tmp_path):
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(
        "device_serial,fleet,latitude,longitude\n"
        f"MAN-1,{FLEET},5.4,100\nMAN-2,{FLEET},north,100\n,{FLEET},5.4,100\nMAN-3,{FLEET},5.5,100\n"
    )
    hand.header("Devices")
    hand.link("Import a file")
    hand.clicks += 1  # the file
    hand.page.locator("input[type=file]").set_input_files(manifest)
    hand.button("Try the file")
    hand.button(re.compile("^Import 2 new devices"))
    rejects = hand.download("Download 2 rejects").read_text()
    assert "MAN-2" in rejects
    assert portal.number("SELECT count(*) FROM inventory_device WHERE serial LIKE 'MAN-%%'") == 2


def test_a_token_that_reads_is_made_and_tried(hand, portal):
    hand.click(hand.page.locator("#user-menu summary"))
    hand.link("API tokens")
    hand.page.get_by_label("What it is for").fill("ten tasks")
    hand.button("Make the token")
    token = hand.page.locator("#token").inner_text()

    answer = requests.get(
        f"{portal.portal_url}/api/v1/devices/",
        {"limit": 1},
        headers={"Authorization": f"Bearer {token}"},
        timeout=_SECONDS,
    )
    assert len(answer.json()["results"]) == 1


def test_the_field_list_of_one_site_is_printed(hand, portal):
    # Devices without an address: the ladder goes straight to people.
    portal.lab_devices(["DESK-1", "DESK-2"])
    hand.page.goto("/admin/inventory/device/?q=DESK-")
    hand.page.get_by_role("link", name="Plan a campaign for these").click()
    hand.page.get_by_label("Name").fill("Desk")
    hand.page.get_by_role("button", name="Show what it would hold").click()
    hand.page.get_by_role("button", name=re.compile("^Plan a campaign for")).click()
    hand.page.get_by_role("link", name="Start…").click()
    hand.page.get_by_role("button", name="Start the campaign").click()
    waited(portal, "Work orders", "SELECT count(*) FROM renewal_workorder")
    hand.page.goto("/admin/")
    hand.header("Field")
    hand.filter("site")
    hand.link("none", within="#changelist-filter")
    assert hand.download("sheets to print").read_bytes().startswith(b"%PDF-")
