"""Secrets on their way to the one page that shows them."""


class ShownOnce(str):
    """A secret that a template shows and no log: at level DEBUG Django writes the whole context of a page there."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'(shown once)'"
