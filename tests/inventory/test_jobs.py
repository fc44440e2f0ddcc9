"""The inventory's jobs find their work in rows, and leave nothing behind that readers would step over."""

import pytest
from django.db import connection

from inventory import jobs
from inventory.counters.checking import differences
from inventory.models import CertificateCount, CertificateDelta
from tests import factories
from tests.inventory.counters.planting import execute


@pytest.mark.django_db(transaction=True)
def test_after_many_deltas_their_space_is_given_back():
    certificate = factories.enrolled().certificate
    execute(
        "INSERT INTO inventory_certificatedelta (day, fleet_id, profile_id, authority_id, state, number)"
        " SELECT '2030-01-01', %s, %s, %s, 'issued', CASE WHEN n %% 2 = 0 THEN 1 ELSE -1 END"
        " FROM generate_series(1, 10000) n",
        certificate.device.fleet_id,
        certificate.profile_id,
        certificate.authority_id,
    )
    jobs.fold_counters()
    assert not CertificateDelta.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_size('inventory_certificatedelta')")
        assert cursor.fetchone() == (0,)


@pytest.mark.django_db
def test_the_daily_check_puts_right_what_is_wrong_and_says_so(caplog):
    factories.enrolled()
    jobs.fold_counters()
    jobs.check_counters()
    assert "counters were wrong" not in caplog.text
    CertificateCount.objects.update(confirmed=5)
    jobs.check_counters()
    assert "counters were wrong" in caplog.text
    assert differences() == []
