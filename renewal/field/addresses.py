"""Whole addresses of the pages for phones, as codes on paper and tickets have them."""

from django.conf import settings
from django.urls import reverse


def page_of(order: int) -> str:
    """Return the address of the page of a work order."""
    return str(settings.PUBLIC_PORTAL_URL + reverse("field:order", args=[order]))
