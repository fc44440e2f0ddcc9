"""The pages of the handbook, and its pictures."""

from functools import cache
from pathlib import Path

from django.conf import settings
from django.contrib.admin import AdminSite
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from certportal.handbook.rendering import Rendered, render

_PICTURES = {".png": "image/png", ".svg": "image/svg+xml"}
# By the first question of whoever opens it; what is for developers of the portal comes last, by its name.
_FIRST = (
    "first-device", "campaigns", "field", "channels", "alerts", "expiry", "revocation", "lists", "importing",
    "sightings", "approvals", "access", "est", "scep", "api", "operations", "configuration", "headline",
)  # fmt: skip


def contents(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """List all pages by title, those of daily work first."""
    names = sorted(_pages(), key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))
    shown = [(name, _page(name)) for name in names]
    context = {**site.each_context(request), "title": _("Handbook"), "pages": shown}
    return TemplateResponse(request, "certportal/handbook/contents.html", context)


def page(request: HttpRequest, name: str, site: AdminSite) -> HttpResponse:
    """Show one page. Raises Http404 for one that there is not."""
    if name not in _pages():
        raise Http404(_("The handbook has no such page."))
    shown = _page(name)
    context = {**site.each_context(request), "title": shown.title, "page": shown}
    return TemplateResponse(request, "certportal/handbook/page.html", context)


def image(_request: HttpRequest, picture: str) -> FileResponse:
    """Send a picture of the handbook. Raises Http404 for one that there is not."""
    if picture not in _pictures():
        raise Http404
    path = settings.HANDBOOK / "images" / picture
    return FileResponse(path.open("rb"), content_type=_PICTURES[path.suffix])


@cache
def _pages() -> frozenset[str]:
    directory: Path = settings.HANDBOOK
    return frozenset(path.relative_to(directory).with_suffix("").as_posix() for path in directory.rglob("*.md"))


@cache
def _pictures() -> frozenset[str]:
    return frozenset(path.name for path in (settings.HANDBOOK / "images").iterdir() if path.suffix in _PICTURES)


@cache
def _page(name: str) -> Rendered:
    """Files do not change while the portal runs: each is rendered once."""
    return render((settings.HANDBOOK / f"{name}.md").read_text(encoding="utf-8"), name, _address_of)


def _address_of(name: str) -> str | None:
    directory, _slash, file = name.rpartition("/")
    if directory == "images" and file in _pictures():
        return reverse("admin:handbook_picture", args=[file])
    return reverse("admin:handbook_page", args=[name]) if name in _pages() else None
