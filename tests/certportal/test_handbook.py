"""The handbook as the portal serves it, and the sentence and link that each page has of it."""

import re

import pytest
from django.contrib import admin
from django.urls import reverse

from certportal.handbook import help as help_of
from certportal.handbook.rendering import render
from tests.certportal.test_pages import Inline


def led(name: str) -> str | None:
    return {"other": "/h/other/", "images/a.png": "/h/images/a.png", "deep/page": "/h/deep/page/"}.get(name)


def test_the_first_heading_is_the_title_and_the_second_level_its_parts():
    shown = render("# Some title\n\ntext\n\n## What comes, and when?\n\n### `x` in it\n", "page", led)
    assert shown.title == "Some title"
    assert [(part.name, part.anchor) for part in shown.parts] == [("What comes, and when?", "what-comes-and-when")]
    assert '<h2 id="what-comes-and-when">' in shown.html
    assert '<h3 id="x-in-it">' in shown.html
    assert "Some title" not in shown.html


@pytest.mark.parametrize(
    ("link", "html"),
    [
        ("[a](../other.md#part)", '<a href="/h/other/#part">a</a>'),
        ("[a](other.md)", "a"),
        ("[a](page.md)", '<a href="/h/deep/page/">a</a>'),
        ("[a](../../../etc/passwd)", "a"),
        ("[a](#part)", '<a href="#part">a</a>'),
        ("[a](https://example.com/x)", '<a href="https://example.com/x">a</a>'),
        ("![a](../images/a.png)", '<img src="/h/images/a.png" alt="a" />'),
        ("![a](../images/none.png)", ""),
        ("[a](javascript:alert(1))", "[a](javascript:alert(1))"),
        ("<b>a</b>", "&lt;b&gt;a&lt;/b&gt;"),
    ],
)
def test_links_lead_to_what_the_portal_shows_and_nowhere_else(link, html):
    assert render(link, "deep/index", led).html == f"<p>{html}</p>\n"


def test_a_column_of_numbers_is_one_by_its_class():
    html = render("| a |\n| ---: |\n| 1 |\n", "page", led).html
    assert '<td class="number">1</td>' in html
    assert "style" not in html


def test_every_page_of_the_handbook_opens_and_leads_to_pages_that_there_are(page):
    contents = page(reverse("admin:handbook"))
    pages = set(re.findall(r'href="(/admin/handbook/[^"#]+)"', contents))
    assert len(pages) > 15
    texts = {address: page(address) for address in sorted(pages)}
    for address, text in texts.items():
        assert Inline(re.sub(r'<img src="/admin/handbook/images/[^>]+>', "", text)).found == [], address
        for link in re.findall(r'href="(/admin/handbook/[^"]+)"', text):
            target, _hash, part = link.partition("#")
            assert target in texts or page(target), link
            assert not part or f'id="{part}"' in texts[target], link
        for picture in re.findall(r'src="(/admin/handbook/images/[^"]+)"', text):
            assert page.client.get(picture)["Content-Type"] in {"image/png", "image/svg+xml"}


@pytest.mark.parametrize("name", ["nothing", "../README", "%2e%2e/README", "images/../../README", "/etc/passwd"])
def test_nothing_beside_the_handbook_is_served(page, name):
    assert page.client.get(f"/admin/handbook/{name}/").status_code == 404


@pytest.mark.parametrize("name", ["nothing.png", "..%2fapi.md", "dashboard.PNG"])
def test_nothing_beside_its_pictures_is_served(page, name):
    assert page.client.get(f"/admin/handbook/images/{name}", follow=True).status_code == 404


def test_the_help_of_every_page_leads_to_a_part_that_there_is(page):
    for name, found in help_of._PAGES.items():
        text = page(reverse("admin:handbook_page", args=[found.page]))
        assert not found.part or f'id="{found.part}"' in text, name


def test_each_list_of_the_admin_says_what_it_is_for():
    lists = [f"{model._meta.app_label}_{model._meta.model_name}_changelist" for model in admin.site._registry]
    assert [name for name in lists if help_of.of_address(name) is None] == []


def test_the_longest_name_that_fits_says_what_a_page_is_for():
    assert help_of.of_address("inventory_alertpolicy_change") is help_of._PAGES["inventory_alertpolicy"]
    assert help_of.of_address("inventory_alert_changelist") is help_of._PAGES["inventory_alert"]
    assert help_of.of_address("index") is None


def test_a_page_shows_its_sentence_and_its_link(page):
    text = page(reverse("admin:renewal_campaign_changelist"))
    assert "Brings devices to their next certificate before the old one ends." in text
    assert f'href="{reverse("admin:handbook_page", args=["campaigns"])}"' in text
