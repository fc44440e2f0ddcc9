"""Whatever parts a list is read in, its pages hold every row of it once, in order."""

import pytest
from django.db.models import Q

from inventory.admin.filters import by_days
from inventory.counters import reading
from inventory.counters.folding import fold_all
from inventory.lists import pages, scan_plan
from inventory.lists.scan_plan import Portion
from inventory.models import Axis, Certificate, Device
from inventory.models.presence import BY_LAST_SEEN
from tests import factories
from tests.certportal.api import rows
from tests.factories import DAY, NOW

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def scattered(module_db):
    """Sixty certificates in the order of their end: batch A has the last third, B the first, each with its own gaps."""
    fleet = factories.fleet()
    first, last = (fleet.batches.create(name=name) for name in "BA")
    owners = rows.devices(60)
    for number, owner in enumerate(owners):
        owner.batch = first if number < 20 else last if number >= 40 else None
    Device.objects.bulk_update(owners, ["batch"])
    seen = {owner: NOW - number % 9 * DAY / 3 if number % 4 else None for number, owner in enumerate(owners)}
    factories.note_last_seen(seen)
    made = [rows.certificate(owner, not_after=NOW + (number // 3) ** 2 * DAY) for number, owner in enumerate(owners)]
    Certificate.objects.bulk_create(made)
    return fleet


FILTERS = {
    "batch far on": Q(device__batch__name="A"),
    "batch near": Q(device__batch__name="B"),
    "range of another column": Q(issued_at__lt=NOW),
    "both": Q(device__batch__name="A", issued_at__lt=NOW, not_after__gte=NOW + 200 * DAY),
    "nothing": Q(device__batch__name="C"),
    "all": Q(),
}


def walk(queryset, ordering, *, portions=None, limit=7, cursor=None, back=False):
    found = []
    while True:
        page = pages.page(queryset, ordering, cursor, limit, portions)
        found.append([row.pk for row in page.rows])
        cursor = page.previous if back else page.next
        if cursor is None:
            return found


def flat(walked):
    return [pk for page in walked for pk in page]


@pytest.mark.parametrize("sortable", [0, 5, 1000])
@pytest.mark.parametrize(
    "ordering", ["-id", "id", "not_after", "-not_after", "serial", "key_type,issued_at", "-purpose,not_after"]
)
@pytest.mark.parametrize("name", FILTERS)
def test_every_row_stands_on_one_page_whichever_way_it_is_found(scattered, monkeypatch, name, ordering, sortable):
    monkeypatch.setattr(scan_plan, "NEAR", 11)
    monkeypatch.setattr(scan_plan, "_SORTABLE", sortable)
    queryset = Certificate.objects.filter(FILTERS[name])
    sign = "-" if ordering.startswith("-") else ""
    order = [f"{sign}{name}" for name in [*ordering.lstrip("-").split(","), "id"]]
    expected = list(queryset.order_by(*order).values_list("id", flat=True))
    walked = walk(queryset, ordering)
    assert flat(walked) == expected
    assert all(len(page) == 7 for page in walked[:-1])


@pytest.mark.parametrize("sortable", [0, 5, 1000])
@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("condition", [Q(), Q(batch__name__in="AB"), Q(presence__last_seen_at__lt=NOW - DAY)])
def test_devices_stand_in_the_order_of_their_last_sighting_and_the_never_seen_at_its_end(
    scattered, monkeypatch, condition, sign, sortable
):
    monkeypatch.setattr(scan_plan, "NEAR", 5)
    monkeypatch.setattr(scan_plan, "_SORTABLE", sortable)
    queryset = Device.objects.filter(condition)
    devices = list(queryset.select_related("presence"))
    seen = sorted((each for each in devices if each.last_seen_at), key=lambda each: (each.last_seen_at, each.pk))
    never = sorted((each for each in devices if not each.last_seen_at), key=lambda each: each.pk)
    ascending = [each.pk for each in [*never, *seen]]
    expected = ascending[::-1] if sign else ascending
    walked = walk(queryset, f"{sign}{BY_LAST_SEEN}", limit=4)
    assert flat(walked) == expected
    assert all(len(page) == 4 for page in walked[:-1])


@pytest.mark.parametrize("ordering", [BY_LAST_SEEN, f"-{BY_LAST_SEEN}"])
def test_empty_values_have_their_place_in_a_scattered_list(scattered, monkeypatch, ordering):
    monkeypatch.setattr(scan_plan, "NEAR", 5)
    monkeypatch.setattr(scan_plan, "_SORTABLE", 0)
    queryset = Device.objects.filter(batch__name__in="AB")
    walked = walk(queryset, ordering, limit=4)
    assert sorted(flat(walked)) == sorted(queryset.values_list("id", flat=True))
    last = pages.page(queryset, ordering, None, 36).next
    assert last is not None
    back = walk(queryset, ordering, limit=4, cursor=pages.page(queryset, ordering, last, 4).previous, back=True)
    assert flat(reversed(back)) == flat(walked)[: len(flat(back))]


@pytest.mark.parametrize("ordering", ["not_after", "-not_after"])
@pytest.mark.parametrize("limit", [1, 7, 100])
def test_counters_lead_to_every_certificate_of_a_group(scattered, ordering, limit):
    for batch in (*scattered.batches.all(), None):
        portions = by_days(reading.days_of(Axis.BATCH, [batch.pk if batch else None]))
        queryset = Certificate.objects.filter(device__isnull=False, device__batch=batch)
        assert sum(portion.number for portion in portions) == queryset.count() == 20
        sign = "-" if ordering.startswith("-") else ""
        expected = list(queryset.order_by(ordering, f"{sign}id").values_list("id", flat=True))
        walked = walk(queryset, ordering, portions=portions, limit=limit)
        assert flat(walked) == expected
        end = pages.page(queryset, ordering, None, 19, portions).next
        before = pages.page(queryset, ordering, end, 1, portions).previous
        back = walk(queryset, ordering, portions=portions, limit=limit, cursor=before, back=True)
        assert flat(reversed(back)) == expected[:19]


def test_what_was_just_counted_and_what_was_folded_lead_to_the_same(scattered):
    batch = scattered.batches.first()
    unfolded = reading.days_of(Axis.BATCH, [batch.pk])
    assert fold_all()
    assert reading.days_of(Axis.BATCH, [batch.pk]) == unfolded


def test_no_place_without_portions_is_read(scattered, django_assert_num_queries):
    """A page of the last certificates reads one span, and none of the gap before them."""
    last = Certificate.objects.filter(device__isnull=False).latest("not_after", "pk")
    portions = [
        Portion(NOW, NOW + DAY, 1),
        Portion(NOW + 300 * DAY, NOW + 330 * DAY, 20),
        Portion(last.not_after, last.not_after + DAY, 3),
    ]
    queryset = Certificate.objects.filter(device__isnull=False)
    with django_assert_num_queries(1) as captured:
        assert last in pages.page(queryset, "-not_after", None, 2, portions).rows
    assert captured.captured_queries[0]["sql"].count("not_after") >= 4
