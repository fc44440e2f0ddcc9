from datetime import UTC, datetime, timedelta

import pytest

from inventory.admin import cells

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (datetime(2027, 2, 14, 6, 0, tzinfo=UTC), "in 81 d"),
        (NOW + timedelta(hours=47), "in 47 h"),
        (NOW + timedelta(seconds=119), "in 119 s"),
        (NOW, "now"),
        (NOW + timedelta(seconds=2), "now"),
        (NOW - timedelta(seconds=2), "now"),
        (NOW + timedelta(seconds=3), "in 3 s"),
        (NOW - timedelta(seconds=2, milliseconds=1), "2 s ago"),
        (NOW - timedelta(minutes=119), "119 min ago"),
        (NOW - timedelta(days=729), "729 d ago"),
        (NOW - timedelta(days=730), "2 y ago"),
        (NOW + timedelta(days=1094), "in 3 y"),
        (NOW - timedelta(days=1120), "3.1 y ago"),
        (NOW + timedelta(days=9131), "in 25 y"),
    ],
)
def test_a_distance_is_in_the_largest_unit_that_says_enough(moment, shown):
    assert cells.distance(moment, NOW) == shown


def test_a_moment_is_an_iso_date_with_its_distance_beside():
    shown = cells.when(datetime(2027, 2, 14, 6, 0, tzinfo=UTC), NOW)
    assert ">2027-02-14</time>, <span" in shown
    assert "in 81 d" in shown


@pytest.mark.parametrize("name", ["\u202egnp.exe", "a\u2066b", "nul\x00", "zero\u200bwidth", "line\u2028"])
def test_characters_that_hide_or_turn_are_spelled_out(name):
    shown = cells.visible(name)
    assert shown.isascii()
    assert "\\u" in shown


def test_ordinary_names_of_all_scripts_stay_as_they_are():
    for name in ("Pulau Pinang", "檳城", "Жодино", "مسقط", "São Paulo"):
        assert cells.visible(name) == name


def test_a_long_serial_is_shortened_in_the_middle_and_copied_whole():
    serial = "0123456789abcdef0123456789abcdef"
    shown = cells.code(serial)
    assert ">01234567…89abcdef</code>" in shown
    assert f'data-copy="{serial}"' in shown
