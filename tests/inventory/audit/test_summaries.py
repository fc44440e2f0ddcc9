import pytest

from inventory.audit.summaries import told


@pytest.mark.parametrize(
    ("details", "line"),
    [
        (
            {"serial": "5c29c91f0a1b2c3d4e5f60718293a4b5", "not_after": "2026-12-13T16:43:46+00:00"},
            "serial 5c29c91f…, ends 2026-12-13 16:43",
        ),
        ({"not_after": "2026-12-13T23:43:46-02:00"}, "ends 2026-12-14 01:43"),
        ({"renewal_of": "4125c91f0a1b2c3d4e5f60718293a4b5"}, "renews 4125c91f…"),
        ({"superseded": 0}, ""),
        ({"superseded": 1}, "certificates superseded: 1"),
        ({"note": "stolen", "reason": "keyCompromise"}, "key compromise, “stolen”"),
        (
            {"reason": "window_not_open", "opens": "2027-03-01T00:00:00+00:00"},
            "window not open, renewal opens on 2027-03-01 00:00",
        ),
        ({"campaign": 7, "targets": 2200000}, "devices: 2,200,000"),
        ({"number": 1763, "entries": 0, "size": 3500}, "number 1763, 3,500 bytes"),
        (
            {"model": "inventory.fleet", "id": 3, "added": True, "changes": {"name": [None, "A"]}},
            "added, name: none → A",
        ),
        ({"added": False, "changes": {"renewal_window": ["90 days", "60 days"]}}, "renewal window: 90 days → 60 days"),
        ({"changes": {"password": [None, None]}}, "password"),
        ({"scopes": ["devices:read", "audit:read"], "expires": None}, "scopes devices:read audit:read"),
        ({"something_new": "as it is"}, "something new as it is"),
        ({"note": "100 %s, no date: 2027-13-45T00:00:00Z"}, "“100 %s, no date: 2027-13-45T00:00:00Z”"),
        ("a bare text of an import", "a bare text of an import"),
    ],
)
def test_details_are_told_in_words_and_dates_of_people(details, line):
    assert told(details) == line


def test_what_stands_beside_the_line_is_left_out():
    assert told({"serial": "ab", "profile": "meter"}, without=frozenset({"serial"})) == "profile meter"
