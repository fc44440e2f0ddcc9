"""The two queues of devices: what PostgreSQL needs to know of them to read them quickly."""

import pytest

from inventory.devices import locked_out
from inventory.devices.locked_out import Queue
from inventory.lists.row_counts import expected
from inventory.models import Certificate, RevocationReason
from tests import factories
from tests.factories import DAY, NOW
from tests.inventory.counters.planting import execute, plant

pytestmark = pytest.mark.django_db


def test_postgresql_expects_few_expired_certificates_where_most_that_ended_were_taken_out_of_use():
    certificate = factories.enrolled().certificate
    plant(certificate, 1000, not_after=NOW + 300 * DAY)
    Certificate.objects.filter(pk=certificate.pk).update(
        state="revoked", revoked_at=NOW, revocation_reason=RevocationReason.CESSATION_OF_OPERATION
    )
    plant(certificate, 1000, not_after=NOW - 10 * DAY)
    plant(factories.enrolled().certificate, 5, not_after=NOW - DAY)
    execute("ANALYZE inventory_certificate")

    ended, _cleared = locked_out._stranding(Queue.EXPIRED, NOW, [])

    assert ended.count() == 5
    assert expected(ended).number < 50 < expected(Certificate.objects.expired(NOW)).number
