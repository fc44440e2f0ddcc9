"""What people carry: maps and sheets."""

import io
import json

import pytest
from fontTools.ttLib import TTFont

from inventory.audit.record import SYSTEM
from inventory.models import AuditAction, AuditEvent, Site
from renewal import sheets
from renewal.field import files
from renewal.field.addresses import page_of
from renewal.field.files import File, FileKind
from renewal.field.refused import Refused
from renewal.models import DeviceNote, WorkOrder
from tests import factories
from tests.factories import NOW
from tests.renewal.field.rows import opened

pytestmark = pytest.mark.django_db


def made(kind: FileKind) -> File | Refused:
    return files.file_of(WorkOrder.objects.all(), kind, question="team=7", address_of=page_of, now=NOW, actor=SYSTEM)


def test_a_map_has_a_point_for_each_place_longitude_first():
    opened(1, latitude="3.139003", longitude="101.686855")
    opened(1)
    found = json.loads(made(FileKind.GEOJSON).content)
    assert found["type"] == "FeatureCollection"
    points = [each["geometry"] for each in found["features"]]
    assert {"type": "Point", "coordinates": [101.686855, 3.139003]} in points and None in points
    assert all(each["properties"]["url"].endswith(f"/field/{each['id']}/") for each in found["features"])


# The last three are of scripts that the font lacks.
_NAMES = ["Kampung Baru", "Đà Nẵng", "Київ", "กรุงเทพ", "القاهرة", "דימונה", "मुंबई", "東京", "சென்னை", "🏠\u202e"]


@pytest.mark.parametrize("name", _NAMES)
def test_sheets_print_names_of_any_script(name):
    site = Site.objects.create(fleet=factories.fleet(), name=name)
    _meters, [order] = opened(1, site=site)
    DeviceNote.objects.create(device=order.device, model=name, battery="x" * 200, sim=name, dead_zone_since=NOW)
    content = made(FileKind.PDF).content
    assert content.startswith(b"%PDF-") and b"%%EOF" in content[-64:]


@pytest.mark.parametrize("text", ["Đà Nẵng", "Αθήνα", "Київ", "თბილისი", "กรุงเทพ", "القاهرة", "דימונה", "मुंबई", "“…”"])
def test_the_font_has_the_scripts_that_the_docs_name(text):
    for face in sheets._FACES.values():
        letters = TTFont(io.BytesIO(sheets._font(face))).getBestCmap()
        assert [letter for letter in text if letter != " " and ord(letter) not in letters] == []


def test_a_site_begins_a_page_and_long_ones_go_on():
    for name in ("Johor", "Penang"):
        opened(9, site=Site.objects.create(fleet=factories.fleet(), name=name))
    content = made(FileKind.PDF).content
    assert content.count(b"/Type /Page\n") == 4


def test_each_order_on_paper_leads_to_its_page():
    _meters, orders = opened(3)
    content = made(FileKind.PDF).content
    assert all(f"/field/{order.pk}/".encode() in content for order in orders)


def test_a_list_without_orders_prints_that_there_are_none():
    assert made(FileKind.PDF).content.startswith(b"%PDF-")


def test_who_took_a_file_is_in_the_log():
    opened(2)
    made(FileKind.PDF)
    event = AuditEvent.objects.get(action=AuditAction.EXPORT_ENDED)
    assert event.details == {"filter": "team=7", "format": "pdf", "rows": 2, "whole": True}


def test_more_than_somebody_carries_is_refused_with_what_to_do(monkeypatch):
    opened(3)
    monkeypatch.setitem(files.MOST, FileKind.PDF, 2)
    refusal = made(FileKind.PDF)
    assert isinstance(refusal, Refused) and "more than 2 orders" in refusal.text
    assert not AuditEvent.objects.filter(action=AuditAction.EXPORT_ENDED).exists()


@pytest.mark.parametrize("kind", list(FileKind))
def test_a_file_costs_the_same_for_any_number(kind, django_assert_max_num_queries):
    opened(4)
    with django_assert_max_num_queries(3):
        made(kind)
