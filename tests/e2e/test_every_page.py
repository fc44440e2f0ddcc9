"""Every page that links lead to: for ears and keyboards, in both themes, in windows of all sizes, and small."""

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.e2e.running_portal import RunningPortal
from tests.e2e.windows import DESK, PHONE, TABLET, fits, log_in

pytestmark = pytest.mark.long(270)
_THEMES = ("light", "dark")
_GRAVE = {"serious", "critical"}
_MOST_BYTES = 200_000
# What is sent rather than shown, what ends something, and pages of others: django-rq's own of each job, Swagger UI.
_NOT_PAGES = re.compile(
    r"/export/|/pem/|/file/|/logout/|/delete/|/static/|/jsi18n/|/saved-filters/|/rejects/|/report|/images/|/download"
    r"|/history/|/stats\.json/|/api/|\.(crl|pdf|csv|xlsx|geojson)$|/django_rq/dashboard/.+/.+"
)
# Of pages that differ by their text alone, these stand for all.
_HANDBOOK = re.compile(r"/admin/handbook/(?!$|campaigns/|api/|headline/)")
# Fewer mean that the walk went astray.
_LEAST_PAGES = 50


@pytest.fixture
def page(browser: Browser, portal: RunningPortal) -> Iterator[Page]:
    context = browser.new_context(base_url=portal.portal_url, viewport=DESK, reduced_motion="reduce")
    opened = context.new_page()
    log_in(opened, portal.password)
    yield opened
    context.close()


def test_every_page_serves_ears_keyboards_both_themes_and_every_window(page):
    axe, faults = Axe(), []
    walked = 0
    for address, size in walk(page):
        walked += 1
        if size > _MOST_BYTES:
            faults.append(f"{address} has {size:,} bytes")
        for theme in _THEMES:
            page.emulate_media(color_scheme=theme)
            # Finished, or cancelled, as when the page changes what it shows.
            page.evaluate("Promise.allSettled(document.getAnimations().map(each => each.finished)).then(() => 0)")
            found = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
            faults += [
                f"{address} {theme}: {each['id']}, {each['nodes'][0]['html'][:160]}"
                for each in found
                if each["impact"] in _GRAVE
            ]
        for window in (TABLET, PHONE, DESK):
            page.set_viewport_size(window)
            if not fits(page):
                faults.append(f"{address} is wider than {window['width']} px")
    assert faults == []
    assert walked >= _LEAST_PAGES


def walk(page: Page) -> Iterator[tuple[str, int]]:
    """Open one page of each kind that links lead to; yield its address and how many bytes it has."""
    waiting, known = ["/admin/", "/field/", "/admin/nothing-here/"], set()
    while waiting:
        address = waiting.pop(0)
        kind = re.sub(r"\d+", "N", address.partition("?")[0])
        if kind in known:
            continue
        known.add(kind)
        answer = page.goto(address)
        assert answer
        assert answer.status == (404 if "nothing-here" in address else 200), address
        yield address, len(answer.body())
        links = page.eval_on_selector_all("a[href^='/']", "all => all.map(each => each.getAttribute('href'))")
        # Queries are what differs between links to one page: those of the walk are enough to see it full.
        waiting += [link.partition("#")[0] for link in links if not _NOT_PAGES.search(link.partition("?")[0]) and
                    not _HANDBOOK.match(link)]  # fmt: skip
