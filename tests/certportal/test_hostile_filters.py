"""Whatever a filter of a list is asked in an address, the answer is rows, none, or a refusal; never a failure."""

from contextlib import suppress
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Model
from django.test import RequestFactory
from django.urls import reverse
from rest_framework.test import APIRequestFactory, force_authenticate

from certportal.api.urls import router

pytestmark = [pytest.mark.django_db, pytest.mark.long]

# Halves of characters, numbers that no column holds, dates that no calendar has.
HOSTILE = [
    "\ufffd", "9" * 30, "-" + "9" * 30, "9" * 5000, "1e400", "NaN", "٣", "²", "2027-13-45", "0000-01-01",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-10:00", "[1", "'", "%", "",
]  # fmt: skip
# Pages of queues are no lists of rows.
CHANGELISTS = sorted(
    (model for model in admin.site._registry if model._meta.app_label != "django_rq"),
    key=lambda model: model._meta.label,
)
LISTS = {
    prefix: viewset for prefix, viewset, _name in router.registry if "(" not in prefix and hasattr(viewset, "list")
}


def parameters(model: type[Model], boss) -> list[str]:
    """Return what the list of a model can be asked."""
    request = RequestFactory().get("/")
    request.user = boss
    registered = admin.site._registry[model]
    found = {"q", "o", "p", "cursor", "count", "pk__exact", "id__in"}
    for each in registered.get_list_filter(request):
        if isinstance(each, type):
            names = ("parameter_name", "start_name", "end_name")
            found |= {getattr(each, name) for name in names if getattr(each, name, None)}
        else:
            field = each[0] if isinstance(each, tuple) else each
            found |= {field, f"{field}__exact", f"{field}__id__exact", f"{field}__isnull"}
    if registered.date_hierarchy:
        found |= {f"{registered.date_hierarchy}__{part}" for part in ("year", "month", "day", "gte")}
    return sorted(found)


@pytest.mark.parametrize("model", CHANGELISTS, ids=lambda model: model._meta.label)
def test_no_value_of_a_filter_makes_a_list_of_the_admin_fail(boss, model):
    registered = admin.site._registry[model]
    for name in parameters(model, boss):
        for value in HOSTILE:
            # Its rows, and no page around them: thousands of those cost minutes, and hold no filter.
            request = RequestFactory().get("/", {name: value})
            request.user = boss
            # The page without the filter is what follows this refusal.
            with suppress(IncorrectLookupParameters):
                list(registered.get_changelist_instance(request).result_list)


@pytest.mark.parametrize("resource", sorted(LISTS))
def test_no_value_of_a_filter_makes_a_list_of_the_api_fail(boss, resource, settings):
    settings.API_REQUESTS_PER_MINUTE = 100_000
    view: Any = LISTS[resource]
    listed = view.as_view({"get": "list"})
    filters = getattr(view(action="list"), "filterset_class", None)
    for name in [*(filters.base_filters if filters else ()), "cursor", "limit", "ordering", "fields", "nothing"]:
        for value in ["\0", *HOSTILE]:
            # As in the admin: who asks and how it is written down is the same for all of them.
            request = APIRequestFactory().get("/", {name: value})
            force_authenticate(request, boss)
            assert listed(request).status_code in {200, 400, 404}, (name, value)


def test_an_address_with_nul_names_no_page(client, boss):
    client.force_login(boss)
    for model in CHANGELISTS:
        page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for name in parameters(model, boss):
            assert client.get(page, {name: "a\0b"}).status_code == 404
