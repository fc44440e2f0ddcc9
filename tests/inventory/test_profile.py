"""A profile that cannot make a certificate is refused where it is written."""

import pytest
from django.core.exceptions import ValidationError

from inventory.models import Profile
from tests.factories import DAY

BROKEN = [
    ("subject_template", "nonsense", "nonsense"),
    ("subject_template", "CN={owner}", "{owner} is unknown"),
    ("san_templates", ["{serial}.example"], "must begin with DNS:"),
    ("san_templates", ["DNS:no blanks.example"], "no DNS name"),
    ("extended_key_usages", ["client authentication"], "client authentication"),
]


def meter(**changes: object) -> Profile:
    return Profile(slug="meter", name="Meter", validity=365 * DAY, renewal_window=90 * DAY, **changes)


@pytest.mark.parametrize(("field", "value", "words"), BROKEN, ids=str)
def test_what_gives_no_certificate_is_refused_at_its_field(field, value, words):
    with pytest.raises(ValidationError) as refused:
        meter(**{field: value}).clean()
    assert set(refused.value.message_dict) == {field}
    assert words in refused.value.message_dict[field][0]


def test_all_faults_are_named_at_once():
    with pytest.raises(ValidationError) as refused:
        meter(subject_template="nonsense", extended_key_usages=["x"]).clean()
    assert set(refused.value.message_dict) == {"subject_template", "extended_key_usages"}


def test_what_the_help_texts_suggest_is_accepted():
    meter(san_templates=["DNS:{serial}.meters.example", "URI:urn:dev:{serial}"]).clean()
