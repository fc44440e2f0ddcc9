"""Sightings, proof of life: a device authenticated with a certificate, so it holds the key and can use it.

`naming` is what a sighting says, `rows` and `logs` read it (pure), `resolving` finds what it names, `judging` decides
what it means (pure), `recording` writes that down, `tailing` follows a log file.
"""

from inventory.sightings.classification import CLOCK_TOLERANCE, Result, SightingOutcome
from inventory.sightings.identifiers import Sighting
from inventory.sightings.recording import (
    MOST_IN_A_BATCH,
    CertificateUse,
    OddKey,
    find_usable,
    record_odd_keys,
    record_sighting,
    record_sightings,
    record_uses,
)

__all__ = [
    "CLOCK_TOLERANCE",
    "MOST_IN_A_BATCH",
    "CertificateUse",
    "OddKey",
    "Result",
    "Sighting",
    "SightingOutcome",
    "find_usable",
    "record_odd_keys",
    "record_sighting",
    "record_sightings",
    "record_uses",
]
