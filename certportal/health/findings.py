"""What a check of the portal's health finds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What one check found. `problem` empty: all is well, and `fact` says how well."""

    check: str
    fact: str
    problem: str = ""
