"""The pages in a real browser: from the login to the cliff to a campaign that moves, with nothing against the CSP.

Screenshots are kept in `test-artifacts/`: whether a page is good to look at, a person says.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.running_portal import RunningPortal
from tests.e2e.windows import DESK, PHONE, fits, listen, log_in

pytestmark = pytest.mark.long(240)
LOOKS = {"light": (DESK, "light"), "dark": (DESK, "dark"), "phone": (PHONE, "light")}
_CLIFF = "svg.heatmap a:has(text.cliff-label)"


@pytest.fixture(params=LOOKS)
def look(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def complaints() -> list[str]:
    """What the browser had to say: violations of the CSP, errors of scripts, answers that failed."""
    return []


@pytest.fixture
def page(browser: Browser, portal: RunningPortal, look: str, complaints: list[str]) -> Iterator[Page]:
    """A browser window on which nobody has logged in yet."""
    viewport, scheme = LOOKS[look]
    context = browser.new_context(base_url=portal.portal_url, viewport=viewport, color_scheme=scheme)
    opened = context.new_page()
    listen(opened, complaints)
    yield opened
    context.close()
    assert complaints == []


def keep(page: Page, artifacts: Path, name: str, look: str) -> None:
    page.screenshot(path=artifacts / f"{name}-{look}.png", full_page=look == "phone")


def test_from_the_login_over_the_cliff_to_exactly_its_certificates(page, portal, artifacts, look):
    page.goto("/admin/")
    keep(page, artifacts, "login", look)
    log_in(page, portal.password)
    keep(page, artifacts, "dashboard", look)
    assert fits(page)

    # Other tests may have made cliffs of their own; this one is the demo's.
    [(ends,)] = portal.rows(
        "SELECT (not_after AT TIME ZONE 'UTC')::date FROM inventory_certificate c JOIN inventory_device d"
        " ON d.id = c.device_id JOIN inventory_batch b ON b.id = d.batch_id WHERE b.name = 'B7'"
        " AND c.state = 'confirmed' GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
    )
    label = page.locator(_CLIFF, has_text=f"on {ends}").first
    named = re.fullmatch(r"([\d,]+) on (\d{4}-\d\d-\d\d)", (label.text_content() or "").strip())
    assert named
    count, day = named.groups()
    label.click()
    listed = page.locator("#result_list tbody tr")
    expect(listed).to_have_count(int(count))
    keep(page, artifacts, "cliff", look)
    shown = {
        int(number)
        for link in page.locator("#result_list th a").all()
        for number in re.findall(r"/certificate/(\d+)/", link.get_attribute("href") or "")
    }
    standing = portal.rows(
        "SELECT id FROM inventory_certificate WHERE purpose = 'device' AND state IN ('issued', 'confirmed') "
        "AND (not_after AT TIME ZONE 'UTC')::date = %s",
        day,
    )
    assert shown == {number for (number,) in standing}


def test_the_page_of_a_campaign_moves_by_itself(page, portal, artifacts, look):
    log_in(page, portal.password)
    page.get_by_role("link", name="Spring renewal").first.click()
    url, progress = page.url, page.locator("#progress")
    expect(progress).to_contain_text("running")
    keep(page, artifacts, "campaign", look)
    assert fits(page)
    elsewhere = page.context.new_page()
    for act, state in [("Pause", "paused"), ("Start", "running")]:
        elsewhere.goto(url)
        elsewhere.get_by_role("link", name=f"{act}…").click()
        elsewhere.get_by_role("button", name=f"{act} the campaign").click()
        expect(progress).to_contain_text(state)
    assert page.url == url


def test_a_device_tells_its_story(page, portal, artifacts, look):
    [(device,)] = portal.rows(
        "SELECT device_id FROM inventory_certificate WHERE state = 'superseded' ORDER BY id LIMIT 1"
    )
    log_in(page, portal.password)
    page.goto(f"/admin/inventory/device/{device}/change/")
    expect(page.locator("svg").first).to_be_visible()
    keep(page, artifacts, "device", look)
    assert fits(page)


def test_a_person_makes_a_token_that_is_shown_once(page, portal, artifacts, look):
    log_in(page, portal.password)
    page.goto("/admin/")
    page.locator("#user-menu summary").click()
    page.get_by_role("link", name="API tokens").click()
    keep(page, artifacts, "tokens", look)
    assert fits(page)
    page.get_by_label("What it is for").fill(f"shift report, {look}")
    page.get_by_role("button", name="Make the token").click()
    expect(page.locator("#token")).to_have_text(re.compile("^cpt_[0-9a-f]{64}$"))
    keep(page, artifacts, "token-made", look)
    assert fits(page)
    page.goto("/admin/tokens/")
    expect(page.locator("#token")).to_have_count(0)
    expect(page.get_by_text(f"shift report, {look}")).to_be_visible()


def test_an_expired_device_is_led_to_a_secret(page, portal, artifacts, look):
    log_in(page, portal.password)
    page.goto("/admin/inventory/expireddevice/")
    keep(page, artifacts, "expired", look)
    page.get_by_role("link", name="Make one-time secrets for this list").click()
    expect(page.get_by_role("button", name=re.compile("Make .* secret"))).to_be_visible()
    keep(page, artifacts, "secrets", look)
    assert fits(page)
    page.go_back()
    page.get_by_role("link", name=re.compile("^make a one-time secret")).first.click()
    page.get_by_role("button", name="Make the secret").click()
    expect(page.locator("#secret")).to_be_visible()
    keep(page, artifacts, "secret-made", look)
    assert fits(page)


def test_a_crl_says_whether_a_certificate_is_in_it(page, portal, artifacts, look):
    [(revoked,)] = portal.rows("SELECT serial FROM inventory_certificate WHERE state = 'revoked' ORDER BY id LIMIT 1")
    [(crl,)] = portal.rows("SELECT id FROM revocation_crl WHERE entries > 0 ORDER BY id DESC LIMIT 1")
    log_in(page, portal.password)
    page.goto(f"/admin/revocation/crl/{crl}/change/")
    page.get_by_label("Is it in? Serial number").fill(revoked.upper())
    page.get_by_role("button", name="ask this CRL").click()
    expect(page.get_by_role("status")).to_contain_text("this CRL")
    keep(page, artifacts, "crl", look)
    assert fits(page)


def test_the_audit_log_is_searched_and_narrowed(page, portal, artifacts, look):
    log_in(page, portal.password)
    page.goto("/admin/inventory/auditevent/?q=Spring+renewal&at__gte=2020-01-01")
    expect(page.locator("#result_list tbody tr").first).to_contain_text("Spring renewal")
    keep(page, artifacts, "audit", look)
    assert fits(page)


def test_an_alert_is_muted_and_unmuted_on_its_page(page, portal, artifacts, look):
    [(alert,)] = portal.rows("SELECT id FROM inventory_alert WHERE resolved_at IS NULL AND urgency = 1 LIMIT 1")
    log_in(page, portal.password)
    page.goto(f"/admin/inventory/alert/{alert}/mute/")
    page.get_by_label("Until").fill("2099-01-01")
    page.get_by_label("Reason").fill("New modem on Friday")
    page.get_by_role("button", name="Mute it").click()
    expect(page.get_by_text("New modem on Friday")).to_be_visible()
    keep(page, artifacts, "alert", look)
    assert fits(page)
    page.get_by_role("button", name="Unmute it").click()
    expect(page.get_by_text("New modem on Friday")).to_have_count(0)


@pytest.mark.parametrize("look", ["light"], indirect=True)
def test_a_certificate_is_revoked_by_a_person_with_a_reason(page, portal, meter, artifacts, look):
    [(certificate,)] = portal.rows("SELECT id FROM inventory_certificate WHERE serial = %s", meter.serial_number)
    log_in(page, portal.password)
    page.goto(f"/admin/inventory/certificate/{certificate}/change/")
    page.get_by_role("link", name=re.compile("Revoke")).first.click()
    # The first click only asks.
    state = "SELECT state FROM inventory_certificate WHERE id = %s"
    assert portal.rows(state, certificate) == [("issued",)]
    keep(page, artifacts, "revoke", look)
    page.locator("select[name=reason]").select_option("keyCompromise")
    page.get_by_role("button", name=re.compile("Revoke")).click()
    page.wait_for_load_state()
    assert portal.rows(state, certificate) == [("revoked",)]
    assert portal.number(
        "SELECT count(*) FROM inventory_auditevent WHERE certificate_id = %s AND actor = 'admin' "
        "AND action = 'certificate:revocation:done'",
        certificate,
    ) == 1  # fmt: skip


@pytest.mark.parametrize("look", ["light"], indirect=True)
def test_a_wrong_password_says_so_and_is_audited(page, portal, look):
    failed = "SELECT count(*) FROM inventory_auditevent WHERE action = 'user:login:failed'"
    before = portal.number(failed)
    page.goto("/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".errornote")).to_be_visible()
    assert portal.number(failed) == before + 1


@pytest.mark.parametrize("look", ["light"], indirect=True)
@pytest.mark.parametrize("path", ["/admin/inventory/", "/admin/inventory/device/", "/admin/inventory/certificate/",
                                  "/admin/inventory/auditevent/", "/admin/renewal/campaign/", "/admin/revocation/crl/",
                                  "/api/docs/"])  # fmt: skip
def test_no_page_breaks_the_content_security_policy(page, portal, path):
    """`page` fails on any complaint of the browser's."""
    log_in(page, portal.password)
    page.goto(path)
    page.wait_for_load_state("networkidle")
