"""Pages that take files: how large a file and whose, said where the server asks before it reads one."""

from collections.abc import Callable
from typing import Any, TypeVar

_View = TypeVar("_View", bound=Callable[..., Any])
# What multipart adds to a file.
_AROUND = 64 << 10


def takes_upload(most_bytes: int, permission: str) -> Callable[[_View], _View]:
    """Mark a page that takes a file of up to `most_bytes` from who has `permission`; others are refused unread."""

    def mark(view: _View) -> _View:
        view.takes_upload = (most_bytes + _AROUND, permission)  # type: ignore[attr-defined]
        return view

    return mark
