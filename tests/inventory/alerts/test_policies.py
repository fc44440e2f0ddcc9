"""What a portal starts with."""

import pytest

from inventory.alerts.policies import make_defaults
from inventory.models import AlertPolicy

pytestmark = pytest.mark.django_db


def test_a_new_portal_watches_every_class_and_itself():
    assert make_defaults() == 4
    thresholds = dict(AlertPolicy.objects.values_list("applies_to", "thresholds"))
    assert thresholds == {"intermittent": [90, 60, 30], "daily": [60, 30, 14], "always_on": [30, 14, 7], "portal": []}
    assert {policy.levels.count() for policy in AlertPolicy.objects.all()} == {2}


def test_what_somebody_set_stays_as_it_is():
    AlertPolicy.objects.create(name="Ours", applies_to="daily", thresholds=[5])
    assert make_defaults() == 3
    assert make_defaults() == 0
    assert AlertPolicy.objects.get(applies_to="daily").thresholds == [5]
