"""Sweeps that meet: the large one is never left out for a small one, and nothing is done twice."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from inventory.alerts import infrastructure
from inventory.alerts import sweep as sweeping
from inventory.alerts.sweep import Swept, sweep, sweep_own
from inventory.models import Alert, AlertLevel, AlertPolicy
from tests import factories
from tests.factories import DAY, NOW
from tests.parallel import beside, until_blocked

pytestmark = pytest.mark.django_db(transaction=True)
_SECONDS = 60


@pytest.fixture
def due():
    """A device whose certificate is due."""
    policy = AlertPolicy.objects.create(name="Meters", applies_to="intermittent", thresholds=[90])
    AlertLevel.objects.create(policy=policy, number=1, repeat_every=7 * DAY, silence=14 * DAY)
    factories.enrolled(factories.device(connectivity="intermittent"), expires_in=80 * DAY)


@pytest.fixture
def held(monkeypatch):
    """Make the first sweep stop in its middle until told to go on; return what waits for that, and what tells it."""

    def hold(module, name):
        reached, go_on = threading.Event(), threading.Event()
        act = getattr(module, name)

        def held_once(*arguments):
            if not reached.is_set():
                reached.set()
                assert go_on.wait(_SECONDS)
            return act(*arguments)

        monkeypatch.setattr(module, name, held_once)
        return reached, go_on

    return hold


def test_a_sweep_waits_for_one_of_the_portals_own_and_is_not_left_out(due, held):
    reached, go_on = held(infrastructure, "concerns")
    with ThreadPoolExecutor(2) as threads:
        small = beside(threads, lambda: sweep_own(NOW))
        assert reached.wait(_SECONDS)
        large = beside(threads, lambda: sweep(NOW))
        until_blocked()
        assert not large.done()
        go_on.set()
        assert small.result(_SECONDS) == Swept()
        assert large.result(_SECONDS) == Swept(raised=1)
    assert Alert.objects.count() == 1


def test_beside_a_whole_sweep_no_other_is_done(due, held):
    reached, go_on = held(sweeping, "_raise")
    with ThreadPoolExecutor(1) as threads:
        first = beside(threads, lambda: sweep(NOW))
        assert reached.wait(_SECONDS)
        assert sweep(NOW) is None and sweep_own(NOW) is None
        go_on.set()
        assert first.result(_SECONDS) == Swept(raised=1)
