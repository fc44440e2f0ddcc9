"""The pictures of the handbook, taken of a portal of their own: `make screenshots`.

It waits until the demo has come so far that there is something to see, which takes minutes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.peers import peer
from tests.e2e.running_portal import CHECKOUT, RunningPortal, running_portal, until
from tests.e2e.windows import DESK, PHONE, QUIET, log_in

_IMAGES = CHECKOUT / "docs" / "images"
_SECONDS = 1200
_MILLISECONDS = 120_000
# Devices for a cliff on the map of expiry, and more than a page of each list.
_DEVICES = 2000
_TRIGGERS = 60


@dataclass(frozen=True)
class Picture:
    """One picture: where it is taken, in which window, of the whole page or what fits the window, after doing what."""

    name: str
    address: str
    window: dict[str, int]
    whole: bool = True
    first: Callable[[Page], None] = lambda _page: None


def _preview(page: Page) -> None:
    page.get_by_label("Name").fill("Before winter")
    page.get_by_role("button", name="Show what it would hold").click()
    expect(page.locator("#preview h2")).to_be_visible()


def _pictures(portal: RunningPortal) -> list[Picture]:
    campaign = portal.number("SELECT min(id) FROM renewal_campaign")
    gateway = portal.number("SELECT min(id) FROM renewal_gateway")
    order = portal.number("SELECT min(id) FROM renewal_workorder WHERE closed_at IS NULL")
    device = portal.number("SELECT device_id FROM renewal_workorder WHERE id = %s", order)
    return [
        Picture("dashboard", "/admin/", DESK),
        Picture("campaign", f"/admin/renewal/campaign/{campaign}/change/", DESK),
        Picture("campaign-plan", "/admin/renewal/campaign/plan/", DESK, first=_preview),
        Picture("device", f"/admin/inventory/device/{device}/change/", DESK),
        Picture("gateway", f"/admin/renewal/gateway/{gateway}/change/", DESK),
        Picture("field-list", "/admin/renewal/workorder/", DESK, whole=False),
        Picture("field-phone", "/field/", PHONE, whole=False),
        Picture("field-order", f"/field/{order}/", PHONE, whole=False),
    ]


def _take(browser: Browser, portal: RunningPortal, pictures: list[Picture], directory: Path) -> None:
    for picture in pictures:
        context = browser.new_context(base_url=portal.portal_url, viewport=picture.window)  # type: ignore[arg-type]
        page = context.new_page()
        log_in(page, portal.password)
        page.goto(picture.address)
        picture.first(page)
        page.screenshot(path=directory / f"{picture.name}.png", full_page=picture.whole)
        context.close()


def _has_come_far(portal: RunningPortal) -> bool:
    """Whether the field team has orders, and meters of the campaign have renewed."""
    return bool(
        portal.number("SELECT count(*) FROM renewal_workorder WHERE closed_at IS NULL")
        and portal.number("SELECT count(*) FROM renewal_target WHERE state = 'confirmed'") >= 50
    )


def main() -> None:
    expect.set_options(timeout=_MILLISECONDS)
    with running_portal(devices=_DEVICES, triggers_per_minute=_TRIGGERS) as portal, sync_playwright() as playwright:
        until(lambda: _has_come_far(portal), seconds=_SECONDS, what="Something to see")
        browser = playwright.chromium.launch(executable_path=peer("chromium"), args=QUIET)
        _take(browser, portal, _pictures(portal), _IMAGES)


if __name__ == "__main__":
    main()
