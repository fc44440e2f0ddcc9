"""What the log says of each request, beside what django-structlog writes."""

from typing import Any

import structlog
from django.dispatch import receiver
from django.http import HttpRequest
from django_structlog.signals import bind_extra_request_metadata


@receiver(bind_extra_request_metadata)
def bind_address(request: HttpRequest, **_signal: Any) -> None:
    """Note who sent the request, as audit events do: the connection says, and no header that anybody may write."""
    structlog.contextvars.bind_contextvars(ip=request.META.get("REMOTE_ADDR"))
