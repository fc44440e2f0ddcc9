"""Serial numbers are found however people and tools write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.x509.serials import stored_forms


@given(st.integers(1, (1 << 160) - 1), st.booleans(), st.integers(0, 3))
def test_every_notation_of_a_number_finds_it(number, upper, zeros):
    plain = f"{number:x}"
    even = plain.rjust(len(plain) + len(plain) % 2, "0")
    colons = ":".join(even[at : at + 2] for at in range(0, len(even), 2))
    for text in (
        plain,
        "0" * zeros + plain,
        f"0x{plain}",
        colons,
        f" {colons} ",
        colons.replace(":", "-"),
        f"{plain}\n",
        str(number),
    ):
        assert plain in stored_forms(text.upper() if upper else text)


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("4a:00:BE:EF", {"4a00beef"}),
        ("10", {"10", "a"}),
        ("0010", {"10", "a"}),
        ("f" * 40, {"f" * 40}),
        ("1461501637330902918203684832716283019655932542975", {"f" * 40}),
        ("1461501637330902918203684832716283019655932542976", set()),
        ("f" * 41, set()),
        ("0", set()),
        ("00:00", set()),
        ("", set()),
        (":", set()),
        ("-1", set()),
        ("4a-00-be-ef\n", {"4a00beef"}),
        ("12 34", {"1234"}),
        ("١٢", set()),
        ("9" * 5000, set()),
    ],
)
def test_what_a_text_may_mean(text, forms):
    assert stored_forms(text) == forms
