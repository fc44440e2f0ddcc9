"""What people see in place of a page that they may not open, or that there is not: in the frame, with a next step.

Programs get one line. A refusal names the permission and the roles that hold it. That something exists which a person
may not see is told by neither page.
"""

from collections.abc import Mapping
from http import HTTPStatus

from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

# What Django's own pages ask for, by the end of their address's name; all others only show.
_ACTS = {"add": "add", "delete": "delete", "change": "view"}


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404, with what was to be seen there if the view said so."""
    said = exception.args[0] if isinstance(exception, Http404) and exception.args else ""
    context = {
        "title": _("There is no such page"),
        # The resolver's own complaint lists every address of the portal.
        "why": said if isinstance(said, str) else "",
    }
    return _answer(request, "404.html", context, HTTPStatus.NOT_FOUND)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403.

    A view that raises PermissionDenied gives it the name of the permission it asked for, `app.codename`.
    """
    asked = next((each for each in exception.args if isinstance(each, str) and "." in each), "")
    name = asked or _of_page(request)
    permission = _permission(name)
    context = {
        "title": _("You may not open this page"),
        "permission": permission,
        # A page for the people of all fleets, or a row that nobody may change any more.
        "held": bool(permission) and request.user.has_perm(name),
        "roles": list(_roles_with(permission)) if permission else [],
        "method": request.method,
    }
    return _answer(request, "403.html", context, HTTPStatus.FORBIDDEN)


def _answer(request: HttpRequest, template: str, context: Mapping[str, object], status: HTTPStatus) -> HttpResponse:
    """Render in the frame of the portal for whoever is logged in."""
    user = getattr(request, "user", None)
    if user is None or not user.is_staff:
        title = str(context["title"])
        return HttpResponse(f"{title}.\n", status=status, content_type="text/plain; charset=utf-8")
    return render(request, template, {**admin.site.each_context(request), **context}, status=status)


def _of_page(request: HttpRequest) -> str:
    """Return the permission that a page of the admin asks for, by the name of its address; "" for any other address."""
    name = getattr(request.resolver_match, "url_name", None) or ""
    for model in admin.site._registry:
        label = f"{model._meta.app_label}_{model._meta.model_name}_"
        if name.startswith(label):
            act = _ACTS.get(name.removeprefix(label), "view")
            return f"{model._meta.app_label}.{act}_{model._meta.model_name}"
    return ""


def _permission(name: str) -> Permission | None:
    app, _dot, codename = name.partition(".")
    found = Permission.objects.select_related("content_type")
    return found.filter(content_type__app_label=app, codename=codename).first()


def _roles_with(permission: Permission) -> list[str]:
    return list(Group.objects.filter(permissions=permission).order_by("name").values_list("name", flat=True))
