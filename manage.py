#!/usr/bin/env python3
"""Command line of the portal: `./manage.py up` starts everything, `./manage.py help` lists the rest."""

import os
import sys
from pathlib import Path

# The environment that make makes.
_OWN = Path(__file__).resolve().parent / ".venv" / "bin" / "python"


def main() -> None:
    if sys.prefix == sys.base_prefix and _OWN.exists():
        # The system's Python lacks the packages, or has others.
        os.execv(_OWN, [str(_OWN), *sys.argv])  # noqa: S606  (this very command, by another Python)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "certportal.settings")
    try:
        from django.core.management import execute_from_command_line
    except ModuleNotFoundError:
        sys.exit("manage.py finds no Django: `make run` makes the environment that it needs.")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
