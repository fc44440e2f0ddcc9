"""`fields=a,b`: an object trimmed to what is asked for, in lists and alone."""

from collections.abc import Collection
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

PARAMETER = "fields"
# Everything else that a view answers is no object of its list.
_ACTIONS = frozenset({"list", "retrieve"})


def may_trim(view: Any) -> bool:
    # What has no pages is no list of objects.
    return view.action in _ACTIONS and view.pagination_class is not None


def trimmed(viewset: Any) -> Any:
    """Return `viewset` with answers that hold only the fields asked for."""

    def get_serializer(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = viewset.get_serializer(self, *args, **kwargs)
        if may_trim(self) and PARAMETER in self.request.query_params:
            fields = getattr(made, "child", made).fields
            wanted = _wanted(self.request, fields.keys())
            for name in [name for name in fields if name not in wanted]:
                fields.pop(name)
        return made

    return type(viewset.__name__, (viewset,), {"get_serializer": get_serializer, "__doc__": viewset.__doc__})


def _wanted(request: Request, known: Collection[str]) -> set[str]:
    """Return the fields asked for. Raises ValidationError for one that the object does not have."""
    wanted = request.query_params[PARAMETER].split(",")
    if unknown := sorted(set(wanted) - set(known)):
        named = ", ".join(repr(name) for name in unknown[:5])
        raise ValidationError(
            {PARAMETER: [f"No field: {named}. Fields are {', '.join(known)}; separate them by commas."]}
        )
    return set(wanted)
