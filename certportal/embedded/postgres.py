"""The embedded PostgreSQL: started from the binaries of a wheel, on a socket in the portal's home."""

from pathlib import Path
from typing import Any

from certportal.embedded.sockets import socket_directory


def django_database(home: Path) -> dict[str, Any]:
    """Return Django's `DATABASES` entry for the embedded server of `home`."""
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "certportal",
        "USER": "certportal",
        "HOST": str(socket_directory(home, "postgres")),
    }
