"""A campaign as somebody makes it: from a kept filter over its start, a pause and the field team's list to paper."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.running_portal import RunningPortal
from tests.e2e.windows import DESK, fits, listen, log_in

_SERIALS = ("WALK-1", "WALK-2", "WALK-3")
# Orders are looked for once a minute, and machines differ.
_MILLISECONDS_TO_ORDERS = 240_000


@pytest.fixture
def desk(browser: Browser, portal: RunningPortal) -> Iterator[Page]:
    complaints: list[str] = []
    context = browser.new_context(base_url=portal.portal_url, viewport=DESK, accept_downloads=True)
    opened = context.new_page()
    listen(opened, complaints)
    log_in(opened, portal.password)
    yield opened
    context.close()
    assert complaints == []


def state_of(portal: RunningPortal, name: str) -> list[tuple]:
    return portal.rows(
        "SELECT c.state, t.state, count(*) FROM renewal_campaign c JOIN renewal_target t ON t.campaign_id = c.id "
        "WHERE c.name = %s GROUP BY 1, 2",
        name,
    )


def test_from_a_kept_filter_over_start_pause_and_the_field_list_to_paper(desk, portal, artifacts, tmp_path):
    # Devices without an address: the ladder goes straight to people.
    portal.lab_devices(_SERIALS)
    desk.goto("/admin/inventory/device/?q=WALK-")
    expect(desk.locator("#result_list tbody tr")).to_have_count(len(_SERIALS))
    desk.locator("details.saved-filters:not([open]) summary").click()
    desk.get_by_label("keep this filter as").fill("walked")
    desk.get_by_role("button", name="keep").click()
    desk.goto("/admin/inventory/device/")
    desk.get_by_role("link", name="walked").click()
    expect(desk.locator("#result_list tbody tr")).to_have_count(len(_SERIALS))

    desk.get_by_role("link", name="Plan a campaign for these").click()
    desk.get_by_label("Name").fill("Walk")
    desk.get_by_role("button", name="Show what it would hold").click()
    expect(desk.locator("#preview h2")).to_have_text("It would hold 3 devices")
    desk.screenshot(path=artifacts / "campaign-plan.png", full_page=True)
    desk.get_by_role("button", name="Plan a campaign for 3 devices").click()
    expect(desk.get_by_text("no channel of the ladder reaches them")).to_be_visible()
    desk.screenshot(path=artifacts / "campaign-preflight.png", full_page=True)
    assert fits(desk)
    assert state_of(portal, "Walk") == [("planned", "planned", 3)]

    desk.get_by_role("link", name="Start…").click()
    desk.get_by_role("button", name="Start the campaign").click()
    desk.get_by_role("link", name="Pause…").click()
    desk.get_by_role("button", name="Pause the campaign").click()
    expect(desk.locator("#progress .next").first).to_contain_text("No triggers leave")
    assert {state for state, _target, _number in state_of(portal, "Walk")} == {"paused"}
    desk.get_by_role("link", name="Start…").click()
    expect(desk.get_by_text("Waits go on from where the pause stopped them")).to_be_visible()
    desk.get_by_role("button", name="Start the campaign").click()

    # The page moves by itself: nobody can be asked, so people have to go.
    expect(desk.get_by_text("3 devices could not be reached")).to_be_visible(timeout=_MILLISECONDS_TO_ORDERS)
    assert state_of(portal, "Walk") == [("running", "escalated", 3)]
    orders = desk.locator("#result_list tbody tr")
    desk.goto("/admin/renewal/workorder/?q=WALK-")
    for _look in range(_MILLISECONDS_TO_ORDERS // 5000):
        if orders.count() == len(_SERIALS):
            break
        desk.wait_for_timeout(5000)
        desk.reload()
    expect(orders).to_have_count(len(_SERIALS))
    with desk.expect_download() as download:
        desk.get_by_role("link", name="sheets to print").click()
    paper = tmp_path / "orders.pdf"
    download.value.save_as(paper)
    assert paper.read_bytes().startswith(b"%PDF-")
    assert paper.stat().st_size > 2000
