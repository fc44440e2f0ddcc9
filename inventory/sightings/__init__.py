"""Sightings, proof of life: a device authenticated with a certificate, so it holds the key and can use it.

`identifiers` is what a sighting says; `json_reports` and `logs` read it (pure), `tailing` follows a log file.
`resolving` and `issuers` look up what it names, `classification` decides what it means, `recording` and `first_use`
write that down.
"""

from inventory.sightings.classification import CLOCK_TOLERANCE, Result, SightingOutcome
from inventory.sightings.identifiers import Sighting
from inventory.sightings.recording import (
    MOST_IN_A_BATCH,
    CertificateUse,
    OddKey,
    confirm_first_uses,
    find_usable,
    record_odd_keys,
    record_sighting,
    record_sightings,
    record_uses,
    seen,
)

__all__ = [
    "CLOCK_TOLERANCE",
    "MOST_IN_A_BATCH",
    "CertificateUse",
    "OddKey",
    "Result",
    "Sighting",
    "SightingOutcome",
    "confirm_first_uses",
    "find_usable",
    "record_odd_keys",
    "record_sighting",
    "record_sightings",
    "record_uses",
    "seen",
]
