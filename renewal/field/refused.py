"""Refusals of acts on work orders."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True)
class Refused:
    """Why nothing was done: fact, limit, next step. `field` names what of the request is at fault."""

    text: "StrOrPromise"
    field: str = ""
