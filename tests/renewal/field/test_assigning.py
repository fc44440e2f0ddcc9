"""Orders go to a team of their fleet and to people of that team."""

import pytest

from certportal.models import User
from inventory.models import AuditAction, AuditEvent
from renewal.field import assigning, closing
from renewal.field.refused import Refused
from renewal.models import Outcome, WorkOrder
from tests import factories
from tests.factories import NOW, person
from tests.renewal.field.rows import opened, pks, team

pytestmark = pytest.mark.django_db


def assign(orders, team_, to=None):
    return assigning.assign(
        pks(orders), team_, User.objects.get(username=to) if to else None, now=NOW, actor=person("boss")
    )


@pytest.mark.parametrize("number", [1, 5])
def test_many_orders_are_given_in_as_many_statements_as_one(number, django_assert_num_queries):
    _meters, orders = opened(number)
    north, boss = team("ali"), person("boss")
    with django_assert_num_queries(5):
        assert assigning.assign(pks(orders), north, None, now=NOW, actor=boss) == number
    assert set(WorkOrder.objects.values_list("team", "assigned_at")) == {(north.pk, NOW)}


def test_each_given_order_is_an_event_and_one_given_again_is_none():
    _meters, orders = opened(2)
    north = team("ali")
    assert (assign(orders, north, "ali"), assign(orders, north, "ali"), assign(orders, north)) == (2, 0, 2)
    told = AuditEvent.objects.filter(action=AuditAction.WORK_ORDER_ASSIGNED).order_by("id")
    assert [event.details["assigned_to"] for event in told] == ["ali", "ali", None, None]


def test_who_is_not_in_the_team_gets_no_order_of_it():
    _meters, orders = opened()
    team("ali", name="South")
    refusal = assign(orders, team(), "ali")
    assert isinstance(refusal, Refused) and refusal.field == "assigned_to"
    assert WorkOrder.objects.get().team is None


def test_a_team_of_another_fleet_gets_none_of_them():
    _meters, orders = opened()
    refusal = assign(orders, team(fleet=factories.fleet("other")))
    assert isinstance(refusal, Refused) and refusal.field == "team"


def test_a_closed_order_stays_with_who_had_it():
    _meters, orders = opened(2)
    closing.close(orders[0].pk, closing.Finding(Outcome.DEAD_ZONE), now=NOW, actor=person("boss"))
    assert assign(orders, team()) == 1
