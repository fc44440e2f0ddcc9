"""Who may do what over the API: the user's permissions, narrowed by the scopes of the token."""

from typing import TYPE_CHECKING, Any

from rest_framework.exceptions import MethodNotAllowed, PermissionDenied
from rest_framework.permissions import DjangoModelPermissions
from rest_framework.request import Request

from certportal.api import scopes
from certportal.models import ApiToken

if TYPE_CHECKING:
    # That module loads this one, named in the settings, while it is loaded itself.
    from rest_framework.views import APIView

_VIEW = ["%(app_label)s.view_%(model_name)s"]


class ModelAndScopePermissions(DjangoModelPermissions):
    """The permissions of Django for the view's model, reading included; and the view's `resource` in the scopes.

    Both are needed: a token never does what its user may not. A refusal names what is missing.
    """

    perms_map = {**DjangoModelPermissions.perms_map, "GET": _VIEW, "HEAD": _VIEW, "OPTIONS": _VIEW}

    def has_permission(self, request: Request, view: "APIView") -> bool:
        method = request.method or ""
        if getattr(view, "action", "") is None:
            # Before rights: that an address does not answer POST is no secret, and no right would change it.
            raise MethodNotAllowed(method)
        if not request.user or not request.user.is_authenticated:
            return False
        if isinstance(request.auth, ApiToken):
            # What only reads is a POST where it is asked more than an address can hold.
            reads = getattr(view, "action", "") in getattr(view, "reading_acts", ())
            self._check_scope(request.auth, "GET" if reads else method, view)
        # An act that neither adds nor changes what its method says names what it needs.
        own = getattr(view, "permissions_of_acts", {}).get(getattr(view, "action", ""))
        allowed = super().has_permission(request, view) if own is None else request.user.has_perms(own)
        if not allowed:
            needed = own or self.get_required_permissions(method, self._queryset(view).model)
            raise PermissionDenied(
                f"User {request.user} lacks the permission {', '.join(needed)}. An administrator can grant it."
            )
        return True

    def _queryset(self, view: Any) -> Any:
        # Only its model is asked for. What `get_queryset` adds costs as much as the rest of a short request.
        named = getattr(view, "queryset", None)
        return super()._queryset(view) if named is None else named

    def _check_scope(self, token: ApiToken, method: str, view: Any) -> None:
        # Only the root, a list of addresses, is no resource.
        if getattr(view, "_ignore_model_permissions", False):
            return
        lacking = scopes.missing(token.scopes, view.resource, method)
        if lacking:
            held = ", ".join(token.scopes) or "reading only"
            raise PermissionDenied(
                f"Token {token.name!r} lacks the scope {lacking} (it has: {held}). Make a token that has it."
            )
