"""What an SMS says: no secret, and as few parts as it can."""

import pytest

from renewal.channels import sms_text
from renewal.channels.one_by_one import send_each
from renewal.channels.phone_numbers import is_e164
from renewal.channels.templates import fill, unknown
from renewal.models.gateway import DEFAULT_TEXT
from tests.renewal.channels.gateways import message


def test_the_usual_text_is_one_sms_in_the_gsm_alphabet_and_says_nothing_secret():
    text = sms_text.text_of(message(), DEFAULT_TEXT)
    assert text == "certportal: M0001 must renew its certificate before 2027-03-31."
    assert sms_text.parts(sms_text.example(DEFAULT_TEXT)) == (1, True)


@pytest.mark.parametrize(
    ("text", "parts", "gsm"),
    [
        ("x" * 160, 1, True), ("x" * 161, 2, True), ("x" * 307, 3, True), ("é" * 160, 1, True), ("€" * 80, 1, True),
        ("€" * 81, 2, True), ("ж" * 70, 1, False), ("ж" * 71, 2, False),
    ],
)  # fmt: skip
def test_the_parts_of_a_text_are_those_that_gateways_charge(text, parts, gsm):
    assert sms_text.parts(text) == (parts, gsm)


def test_only_known_placeholders_are_filled_in_and_values_are_not_read_again():
    assert fill('{"a": {b}, "c": "{d}"}', {"b": "{d}", "d": "1"}) == '{"a": {d}, "c": "1"}'
    assert unknown("{device} {device.__class__} {0} {secret}", sms_text.PLACEHOLDERS) == ["secret"]


@pytest.mark.parametrize(
    ("number", "right"),
    [("+31612345678", True), ("0031612345678", False), ("+0612345678", False), ("+316123456789012345", False),
     ("+31 612345678", False), ("", False), ("+31612345678\n", False)],
)  # fmt: skip
def test_a_number_is_one_in_e164(number, right):
    assert is_e164(number) == right


def test_sending_none_is_no_error():
    assert send_each([], lambda _message: pytest.fail("asked")) == []
