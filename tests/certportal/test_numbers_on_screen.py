"""Every tile, cells of every axis and every filter at fifty thousand devices, beside SQL of its own."""

import pytest
from django.utils import timezone

from benchmarks import truth
from inventory.counters.folding import fold_all
from inventory.models import Batch, Device, Site
from renewal import coverage_counts
from renewal.campaigns import planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.planning import Plan
from tests import factories
from tests.certportal.api import rows
from tests.factories import DAY
from tests.inventory.counters.planting import execute, plant

pytestmark = pytest.mark.long

DEVICES = 50_000
_GROUPS = 25
# Devices and certificates differ in every combination of these, by the key of the device.
_DEVICES = {
    "connectivity": "(ARRAY['always_on', 'daily', 'intermittent'])[1 + n %% 7 %% 3]",
    "status": "CASE WHEN n %% 11 = 0 THEN 'retired' ELSE 'in_service' END",
}
_CERTIFICATES = {
    "state": "(ARRAY['confirmed', 'issued', 'superseded', 'revoked'])[1 + n %% 13 %% 4]",
    "activated_at": "CASE WHEN n %% 13 %% 4 <> 1 THEN now() END",
    "revoked_at": "CASE WHEN n %% 13 %% 4 = 3 THEN now() END",
    "successor_id": "CASE WHEN n %% 13 %% 4 = 2 THEN id END",
    "revocation_reason": "CASE WHEN n %% 13 %% 4 = 3 THEN 'keyCompromise' ELSE '' END",
    "key_type": "CASE WHEN n %% 17 = 0 THEN 'rsa-2048' ELSE key_type END",
}
_PRESENCES_DIFFER = """
    UPDATE inventory_devicepresence SET
        last_seen_at = CASE device_id %% 3 WHEN 0 THEN NULL WHEN 1 THEN now() - interval '1 hour'
                       ELSE now() - (device_id %% 30) * interval '1 day' END"""


@pytest.fixture
def varied(db):
    """Certificates that ended in the last 100 days or end in the next 500, some renewed, some in a campaign."""
    now = timezone.now()
    fleet = factories.fleet()
    sites = [Site.objects.create(fleet=fleet, name=f"S{number}").pk for number in range(4)]
    batches = [Batch.objects.create(fleet=fleet, name=f"B{number}").pk for number in range(6)]
    template = factories.enrolled(now=now).certificate
    for number in range(_GROUPS):
        places = {"site_id": [*sites, None][number % 5], "batch_id": [*batches, None][number % 7]}
        plant(
            template,
            DEVICES // _GROUPS,
            not_after=now + (number * 24 - 100) * DAY,
            devices=_DEVICES,
            certificates=_CERTIFICATES,
            **places,
        )
    execute(_PRESENCES_DIFFER)
    rows.devices(40)
    rows.certificates(list(Device.objects.order_by("pk")[:500]), issued_at=now, step=DAY / 10)
    execute("ANALYZE inventory_device, inventory_devicepresence, inventory_certificate")
    selection = Selection(fleet, now + 30 * DAY, now + 90 * DAY)
    planning.plan(Plan("spring", selection, due_at=now + 95 * DAY), now=now, actor=factories.SYSTEM)
    fold_all()
    coverage_counts.count_anew(now)


def test_every_tile_cell_and_filter_says_what_sql_counts(varied, page):
    assert truth.check(lambda address: page(address).encode()) >= 60
