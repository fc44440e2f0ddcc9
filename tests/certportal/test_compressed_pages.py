"""What is compressed on its way to people, and what is not."""

import gzip

import pytest
from django.urls import reverse

GZIP = {"Accept-Encoding": "gzip"}
pytestmark = pytest.mark.django_db


def test_a_page_is_compressed_for_who_accepts_it(page):
    sent = page.client.get("/admin/", headers=GZIP)
    assert sent.headers["Content-Encoding"] == "gzip"
    assert b"<title>Dashboard" in gzip.decompress(sent.content)
    assert "Content-Encoding" not in page.client.get("/admin/").headers


@pytest.mark.parametrize(
    "address",
    [f"{reverse('admin:inventory_device_changelist')}export/csv/", "/api/v1/devices/", "/api/v1/fleets/"],
)
def test_exports_and_the_api_are_sent_as_they_are(page, address):
    sent = page.client.get(address, headers=GZIP)
    assert sent.status_code == 200
    assert "Content-Encoding" not in sent.headers
