"""Subjects from templates that are read once: what the reference says, for any template and any value."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inventory.x509 import names, subjects
from inventory.x509.names import NameTemplateError

TEMPLATES = [
    "CN={serial}",
    "CN={serial},O=Benchmark",
    "CN={serial},OU={site},OU={batch},O=Demo Grid\\, Inc.,L=Penang,C=MY",
    "CN=meter {serial} of {fleet},2.5.4.5={serial},dnQualifier={batch}",
    "1.2.840.113549.1.9.1={serial}@meters.example,DC={fleet},DC=example",
    "CN={serial}+OU={site},O=Grid",
    "C={site},CN={serial}",
    "O=Größe,CN={serial}",
    "CN={site}",
    "O={site}{batch}{fleet}{serial}",
    "CN={owner}",
    "CN=",
    "C=MYS,CN={serial}",
    "nonsense",
    "",
]
PLAIN = st.from_regex(r"\A[A-Za-z0-9./: -]{0,70}\Z")
VALUE = PLAIN | st.text(st.characters(exclude_categories=["Cs"]), max_size=70)


def reference(template, values):
    try:
        name = names.subject(template, values)
    except NameTemplateError as refusal:
        return str(refusal)
    return name.public_bytes(), name.rfc4514_string()


@given(st.sampled_from(TEMPLATES), st.fixed_dictionaries({}, optional=dict.fromkeys(sorted(names.PLACEHOLDERS), VALUE)))
@example("CN={serial}", {"serial": "x" * 64})
@example("CN={serial}", {"serial": "x" * 65})
@example("O={site}{batch}{fleet}{serial}", {"site": "x" * 32, "serial": "y" * 32})
@example("CN={serial},OU={site},OU={batch},O=Demo Grid\\, Inc.,L=Penang,C=MY", {"serial": "s", "site": "x" * 64})
@example("CN={serial}", {"serial": "#0403020100"})
@example("CN={serial}", {"serial": " a "})
@example("CN={serial}", {"serial": "a\\b"})
@example("CN={serial}", {"serial": "SM1\n"})
@example("CN={serial}", {"serial": "{site}", "site": "Penang"})
@settings(deadline=None)
def test_the_subject_is_that_of_the_reference_in_bytes_and_text(template, values):
    try:
        made = subjects.subject(template, values)
    except NameTemplateError as refusal:
        assert str(refusal) == reference(template, values)
    else:
        assert (made.der, made.text) == reference(template, values)


@pytest.mark.parametrize("length", [63, 64, 127, 128, 255, 256, 300])
def test_a_long_attribute_has_a_long_length(length):
    values = {"serial": "x" * length}
    template = "STREET={serial}"
    assert subjects.subject(template, values).der == names.subject(template, values).public_bytes()
