"""Bulk operations: each row has its own result."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext_lazy as _

MOST_AT_ONCE = 1000
_UNIQUE_VIOLATION = "23505"
_MOST_TRIES = 3

M = TypeVar("M", bound=models.Model)
T = TypeVar("T")


class RowOutcome(models.TextChoices):
    """What became of a row."""

    REGISTERED = "registered", _("registered")
    CHANGED = "changed", _("changed")
    UNCHANGED = "unchanged", _("was so already")
    REFUSED = "refused", _("refused")


@dataclass(frozen=True)
class Result(Generic[M]):
    """The result of one row: the object as it is now, or the `field` at fault and the reason."""

    outcome: RowOutcome
    object: M | None = None
    field: str = ""
    reason: str = ""


class Refused(Exception):  # named for the condition
    """A row is rejected: `field` is at fault, the text says why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field

    def result(self) -> Result[M]:
        return Result(RowOutcome.REFUSED, field=self.field, reason=str(self))


def in_one_transaction(act: Callable[[], T]) -> T:
    """Run `act` in a transaction; repeat it when another transaction took a unique name in between."""
    for last_try in (*[False] * (_MOST_TRIES - 1), True):
        try:
            with transaction.atomic():
                return act()
        except IntegrityError as error:
            if last_try or getattr(error.__cause__, "sqlstate", "") != _UNIQUE_VIOLATION:
                raise
    raise AssertionError  # the last try returns or raises
