"""What must hold of the portal at every moment, whatever was killed: each a function that names what breaks it.

`manage.py verify_invariants` asks them all. They read; nothing here puts anything right.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from certportal.invariants import published_crls, rows

# Enough to see what kind of fault it is; a fault of a kind may break millions.
MOST_NAMED = 20

Invariant = Callable[[datetime], Iterator[str]]
"""Yields a line for each row, or file, that breaks it."""

INVARIANTS: tuple[Invariant, ...] = (
    rows.counters_equal_the_rows_they_count,
    rows.each_certificate_of_ours_was_issued_by_one_audit_event,
    rows.each_revocation_of_ours_is_in_the_audit_log,
    rows.no_key_is_certified_for_two_devices,
    rows.nothing_was_issued_after_its_authority_was_revoked,
    rows.no_device_with_an_open_case_got_a_certificate,
    rows.whoever_never_had_a_certificate_has_none,
    rows.what_certificates_and_events_refer_to_is_there,
    rows.renewals_stay_with_their_device,
    rows.a_certificate_is_superseded_by_one_that_was_used,
    rows.a_secret_gave_its_own_device_a_certificate,
    rows.targets_are_of_their_campaign_and_device,
    rows.no_import_runs_without_a_worker,
    rows.the_audit_log_is_append_only,
    published_crls.crls_in_place_hold_what_is_revoked,
)


@dataclass(frozen=True)
class Violation:
    """One row, or file, that breaks an invariant."""

    invariant: str
    row: str


def violations(now: datetime) -> list[Violation]:
    """Ask every invariant; of each, return the first `MOST_NAMED` rows that break it."""
    return [
        Violation(invariant.__name__, row) for invariant in INVARIANTS for row in islice(invariant(now), MOST_NAMED)
    ]
