"""Two fleets of one authority do not give one subject to two devices: refused where it would be set."""

import pytest
from django.core.exceptions import ValidationError

from inventory.models import Fleet, Profile
from tests.factories import authority, fleet, profile

pytestmark = pytest.mark.django_db


def new_fleet(**changes: object) -> Fleet:
    values: dict[str, object] = {"authority": authority(), "profile": profile(), **changes}
    return Fleet(slug="second", name="Second", **values)


def refused(rule: Fleet | Profile) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as refusal:
        rule.clean()
    return refusal.value.message_dict


def test_a_second_fleet_with_the_same_authority_and_template_is_refused_and_told_what_to_do():
    fleet("first")
    [[message]] = refused(new_fleet()).values()
    assert "Fleet first has the same authority and subject template, CN={serial}" in message
    assert "Put {fleet} into the template" in message
    assert set(refused(new_fleet(profile=profile("other", subject_template="CN={serial}")))) == {"profile"}


def test_another_authority_or_a_template_that_names_the_fleet_is_accepted():
    fleet("first")
    new_fleet(authority=authority("mfg-2")).clean()
    new_fleet(profile=profile("other", subject_template="CN={serial},OU={fleet}")).clean()


def test_a_template_that_no_longer_names_the_fleet_is_refused_while_two_fleets_use_it():
    rules = profile(subject_template="CN={serial},OU={fleet}")
    fleet("first")
    fleet("second")
    rules.subject_template = "CN={serial}"
    [[message]] = refused(rules).values()
    assert "Fleets first, second have one authority" in message


def test_a_template_that_becomes_that_of_another_fleet_is_refused():
    fleet("first")
    rules = profile("other", subject_template="CN=other-{serial}")
    fleet("second", profile=rules)
    rules.subject_template = "CN={serial}"
    assert set(refused(rules)) == {"subject_template"}


def test_what_was_set_before_may_be_saved_again():
    first, second = fleet("first"), fleet("second")
    second.name = "Renamed"
    second.clean()
    first.profile.clean()
