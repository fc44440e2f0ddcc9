"""Requests that come together are decided on together: each gets its own outcome, and nobody another's trouble."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.utils import timezone

from inventory.models import AuditEvent, Certificate, Device, DeviceStatus
from inventory.x509.csr import parse
from renewal import together
from renewal.refusals import Refusal, RefusalCode
from renewal.requests import Renewal
from renewal.together import Gathering
from tests.factories import DAY, Enrolled, device, enrolled

pytestmark = pytest.mark.django_db(transaction=True)

_SECONDS = 60


def meters(number: int) -> list[Enrolled]:
    """Devices whose certificates may be renewed now, by the clock."""
    return [enrolled(device(f"M{index:02}"), now=timezone.now(), expires_in=30 * DAY) for index in range(number)]


def renewal(meter: Enrolled, request_id: str = "") -> Renewal:
    return Renewal(meter.der, parse(meter.renewal_request()), request_id=request_id)


class Crowd:
    """Requests in threads, each with a database session of its own, as the greenlets of a plane have."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.gathering = Gathering(timezone.now)
        self._pool = pool

    def ask(self, request: Renewal) -> "Future[Certificate | Refusal]":
        return self._pool.submit(self._ask, request)

    def _ask(self, request: Renewal) -> Certificate | Refusal:
        try:
            return self.gathering.outcome(request)
        finally:
            connection.close()

    def waiting(self) -> int:
        return len(self.gathering._waiting)


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    with ThreadPoolExecutor(16) as pool:
        yield Crowd(pool)


@pytest.fixture
def batches(monkeypatch) -> list[int]:
    """How many requests each batch had, in the order in which they began."""
    found: list[int] = []
    decide = together.enrolling.admit_many

    def counted(requests, *args, **kwargs):
        found.append(len(requests))
        return decide(requests, *args, **kwargs)

    monkeypatch.setattr(together.enrolling, "admit_many", counted)
    return found


class Locked:
    """Holds the row of a device, as somebody does who changes it, until it is let go."""

    def __init__(self, meter: Enrolled) -> None:
        self._held, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold, args=(meter.device.pk,))

    def _hold(self, device_id: int) -> None:
        try:
            with transaction.atomic():
                Device.objects.select_for_update().get(pk=device_id)
                self._held.set()
                assert self._over.wait(_SECONDS)
        finally:
            connection.close()

    def __enter__(self) -> "Locked":
        self._thread.start()
        assert self._held.wait(_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(_SECONDS)


def until(condition: Callable[[], bool]) -> None:
    for _ in range(_SECONDS * 100):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("It did not come about.")


def test_who_comes_alone_is_decided_on_at_once(batches):
    [meter] = meters(1)
    assert isinstance(Gathering(timezone.now).outcome(renewal(meter)), Certificate)
    assert batches == [1]


def test_those_who_come_meanwhile_are_decided_on_together_and_each_gets_its_own(crowd, batches, monkeypatch):
    monkeypatch.setattr(together, "PATIENCE_SECONDS", _SECONDS)
    first, retired, *others = meters(8)
    Device.objects.filter(pk=retired.device.pk).update(status=DeviceStatus.RETIRED)
    with Locked(first):
        asked = [crowd.ask(renewal(first))]
        until(lambda: batches == [1])
        asked += [crowd.ask(renewal(each, f"request-{each.device.serial}")) for each in (retired, *others)]
        until(lambda: crowd.waiting() == 7)
    outcomes = [each.result(_SECONDS) for each in asked]
    assert batches == [1, 7]
    assert isinstance(outcomes[1], Refusal)
    assert outcomes[1].code == RefusalCode.DEVICE_NOT_IN_SERVICE
    for meter, outcome in zip([first, *others], [outcomes[0], *outcomes[2:]], strict=True):
        assert isinstance(outcome, Certificate)
        assert outcome.device_id == meter.device.pk
    # Each is written down with the request by which it came.
    told = AuditEvent.objects.filter(request_id__startswith="request-").values_list("request_id", "device__serial")
    assert sorted(told) == [(f"request-{each.device.serial}", each.device.serial) for each in (retired, *others)]


def test_whoever_is_locked_holds_up_neither_those_who_come_after_nor_those_of_its_batch(crowd, batches):
    locked, *others = meters(6)
    with Locked(locked):
        late = crowd.ask(renewal(locked))
        until(lambda: batches == [1])
        asked = [crowd.ask(renewal(each)) for each in others]
        assert all(isinstance(each.result(_SECONDS), Certificate) for each in asked)
        # Another one for the same device may come into a batch, which then goes one by one.
        again = crowd.ask(renewal(locked))
        more = [crowd.ask(renewal(each)) for each in others]
        assert all(isinstance(each.result(_SECONDS), Certificate | Refusal) for each in more)
        assert not late.done()
        assert not again.done()
    assert isinstance(late.result(_SECONDS), Certificate)
    assert again.result(_SECONDS)


def test_what_one_of_them_breaks_breaks_for_none_of_the_others(crowd, batches, monkeypatch):
    monkeypatch.setattr(together, "PATIENCE_SECONDS", _SECONDS)
    first, *others = meters(5)
    bad = Renewal(b"", None)  # type: ignore[arg-type]  # what no protocol hands on
    with Locked(first):
        asked = [crowd.ask(renewal(first))]
        until(lambda: batches == [1])
        broken = crowd.ask(bad)
        asked += [crowd.ask(renewal(each)) for each in others]
        until(lambda: crowd.waiting() == 5)
    assert all(isinstance(each.result(_SECONDS), Certificate) for each in asked)
    with pytest.raises(AttributeError):
        broken.result(_SECONDS)
    assert batches == [1, 5, 1, 1, 1, 1, 1]


def test_in_a_transaction_of_its_own_a_request_stays_there(crowd, batches):
    first, own = meters(2)
    with Locked(first):
        held = crowd.ask(renewal(first))
        until(lambda: batches == [1])
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            assert isinstance(crowd.gathering.outcome(renewal(own)), Certificate)
            raise ZeroDivisionError
        assert not Certificate.objects.filter(predecessor=own.certificate).exists()
    assert isinstance(held.result(_SECONDS), Certificate)


def test_a_crowd_is_served_whole_in_few_batches(crowd, batches):
    crowded = meters(48)
    outcomes = [each.result(_SECONDS) for each in [crowd.ask(renewal(meter)) for meter in crowded]]
    assert {outcome.device_id for outcome in outcomes if isinstance(outcome, Certificate)} == {
        meter.device.pk for meter in crowded
    }
    assert sum(batches) == 48
    assert crowd.waiting() == 0
    assert crowd.gathering._leaders == 0
