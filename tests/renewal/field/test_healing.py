"""How many silent devices came back by themselves, counted from how earlier silences ended."""

from datetime import timedelta

import pytest
from django.db.models import F

from inventory.audit.record import SYSTEM
from inventory.models import Site
from renewal.field import closing, healing
from renewal.field.healing import Chance
from renewal.models import Outcome, Target, TargetState, WorkOrder
from tests import factories
from tests.factories import DAY, NOW
from tests.renewal.field.rows import opened, renew

pytestmark = pytest.mark.django_db
WEEK = timedelta(weeks=1)


def silences(number: int, *, healed: int = 0, weeks: int = 3, site: Site | None = None) -> list[WorkOrder]:
    """Plant devices that got a first trigger `weeks` ago: `healed` of them answered an hour ago, the others did not."""
    before = set(WorkOrder.objects.values_list("pk", flat=True))
    opened(number, site=site)
    orders = list(WorkOrder.objects.exclude(pk__in=before).select_related("device", "target"))
    Target.objects.filter(work_order__in=orders).update(triggered_at=NOW - weeks * WEEK - DAY)
    some = Target.objects.filter(work_order__in=orders[:healed])
    some.update(
        state=TargetState.CONFIRMED,
        next_step_at=None,
        issued_at=NOW - timedelta(hours=1),
        confirmed_at=NOW,
        renewed_certificate=F("certificate"),
    )
    WorkOrder.objects.filter(pk__in=[order.pk for order in orders[:healed]]).update(
        outcome=Outcome.RENEWED, closed_at=NOW, opened_at=NOW - timedelta(hours=2)
    )
    return orders


def given_up(orders: list[WorkOrder]) -> None:
    for order in orders:
        closing.close(order.pk, closing.Finding(Outcome.DEAD_ZONE), now=NOW, actor=SYSTEM)


def chance_of(order: WorkOrder) -> Chance | None:
    found = WorkOrder.objects.select_related("device", "target").get(pk=order.pk)
    return healing.chances([found], NOW).get(order.pk)


def test_the_share_is_that_of_silences_whose_end_is_known():
    ended = silences(36, healed=27)
    waiting = silences(1)[0]
    given_up(ended[27:])
    healing.count_anew(NOW)
    assert chance_of(waiting) == Chance(36, 27, at_site=False)
    assert chance_of(waiting).percent == 75


def test_of_fewer_than_thirty_nothing_is_said():
    given_up(silences(29))
    waiting = silences(1)[0]
    healing.count_anew(NOW)
    assert chance_of(waiting) is None


def test_shorter_silences_say_nothing_of_longer_ones():
    given_up(silences(20, weeks=2))
    given_up(silences(15, weeks=5))
    patient, longer = silences(1, weeks=2)[0], silences(1, weeks=4)[0]
    healing.count_anew(NOW)
    assert chance_of(patient) == Chance(35, 0, at_site=False)
    assert chance_of(longer) is None


def test_a_site_of_which_enough_is_known_speaks_for_itself():
    site = Site.objects.create(fleet=factories.fleet(), name="Penang")
    given_up(silences(30))
    given_up(silences(31, site=site))
    there, elsewhere = silences(1, site=site)[0], silences(1)[0]
    healing.count_anew(NOW)
    assert chance_of(there) == Chance(31, 0, at_site=True)
    assert chance_of(elsewhere) == Chance(61, 0, at_site=False)


def test_what_was_renewed_on_site_did_not_heal():
    orders = silences(30)
    for order in orders:
        Target.objects.filter(pk=order.target_id).update(issued_at=NOW, renewed_certificate=F("certificate"))
        WorkOrder.objects.filter(pk=order.pk).update(opened_at=NOW - DAY)
        closing.close(order.pk, closing.Finding(Outcome.RENEWED_ON_SITE), now=NOW, actor=SYSTEM)
    waiting = silences(1)[0]
    healing.count_anew(NOW)
    assert chance_of(waiting) == Chance(30, 0, at_site=False)


def test_counting_again_replaces_what_was_counted():
    given_up(silences(3))
    assert healing.count_anew(NOW) == healing.count_anew(NOW) == 1


def test_the_chances_of_a_list_cost_one_query(django_assert_num_queries):
    silences(4)
    orders = list(WorkOrder.objects.select_related("device", "target"))
    with django_assert_num_queries(1):
        healing.chances(orders, NOW)


def test_a_device_that_was_never_asked_has_no_chance_to_tell():
    [meter], [order] = opened()
    assert chance_of(order) is None
    renew(meter)


def test_a_query_of_targets_reads_the_share_that_the_list_tells():
    site = Site.objects.create(fleet=factories.fleet(), name="Penang")
    given_up(silences(40, healed=25, weeks=2)[25:])
    given_up(silences(31, weeks=2, site=site))
    waiting = [silences(1, weeks=2)[0], silences(1, weeks=4)[0], silences(1, weeks=2, site=site)[0], opened()[1][-1]]
    healing.count_anew(NOW)
    shares = dict(Target.objects.annotate(share=healing.share_of_target(NOW)).values_list("work_order", "share"))
    told = {order.pk: chance_of(order) for order in waiting}
    assert {pk: shares[pk] for pk in told} == {
        pk: chance.healed / chance.devices if chance else None for pk, chance in told.items()
    }
    # Nothing known, none came back, some did.
    assert len({shares[pk] for pk in told}) == 3
