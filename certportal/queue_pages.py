"""django-rq's pages of queues and jobs: seen and changed by who may, and each act in the audit log.

django-rq lets everybody of the staff do everything, and answers 500 for a queue, job or worker that there is not. Here
each of its addresses asks first: for the right, then for the thing. Its pages carry style attributes, which our policy
forbids elsewhere.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from csp.constants import UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_rq.admin import QueueAdmin
from django_rq.models import Dashboard
from django_rq.queues import get_queue_by_index
from django_rq.settings import get_queues_list
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job
from rq.worker import Worker

from inventory.admin.audited import actor_of
from inventory.audit import record
from inventory.models import AuditAction

_WORKER = Worker.redis_worker_namespace_prefix
VIEW, CHANGE = "certportal.view_queues", "certportal.change_queues"
_PREFIX = "django_rq_"
# Addresses that act on POST; most of them ask back on GET.
_ACTS = {
    "delete_failed_jobs", "clear", "requeue_all", "delete_job", "requeue_job", "enqueue_job", "stop_job",
    "confirm_action", "actions",
}  # fmt: skip
# What the admin makes of every model, and django-rq has no rows for; and the pages of a package that is not here.
_LEFT_OUT = {"dashboard_add", "dashboard_history", "dashboard_delete", "dashboard_change", "scheduler_jobs"}
_View = Callable[..., HttpResponse]


class QueuePages(QueueAdmin):  # type: ignore[misc]  # django-rq carries no types
    """The queues and their jobs."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(VIEW)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(CHANGE)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_urls(self) -> list[URLPattern]:
        return list(self._guarded(super().get_urls()))

    def _guarded(self, patterns: list[URLPattern]) -> Iterator[URLPattern]:
        for pattern in patterns:
            name = (pattern.name or "").removeprefix(_PREFIX)
            # One without a name is the admin's redirect to the page of a row.
            if not name or name in _LEFT_OUT:
                continue
            guarded = self.admin_site.admin_view(_guarded(name, pattern.callback))
            pattern.callback = csp_update({"style-src": UNSAFE_INLINE})(guarded)
            yield pattern


def _guarded(name: str, view: _View) -> _View:
    """Return `view` for who may, about things that there are, with its acts recorded."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        acts = name in _ACTS
        if not request.user.has_perm(CHANGE if acts else VIEW):
            raise PermissionDenied(CHANGE if acts else VIEW)
        if request.method not in {"GET", "HEAD"} and not (acts and request.method == "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"] if acts else ["GET", "HEAD"])
        if "key" in kwargs:
            # A worker's own page leads to itself by its name alone.
            kwargs["key"] = f"{_WORKER}{kwargs['key'].removeprefix(_WORKER)}"
        jobs = _existing(request, kwargs)
        if acts and request.method == "POST" and name != "confirm_action":
            _record(request, name, kwargs["queue_index"], jobs)
        try:
            return view(request, *args, **kwargs)
        except (NoSuchJobError, InvalidJobOperation) as error:
            # It went, or went on, since.
            raise Http404(str(error)) from error

    return guarded


def _existing(request: HttpRequest, kwargs: dict[str, Any]) -> list[str]:
    """Return the jobs that a request names. Raises Http404 for a queue, worker or job that there is not."""
    index = kwargs.get("queue_index")
    if index is None:
        return []
    if index >= len(get_queues_list()):
        raise Http404(f"There is no queue {index}.")
    queue = get_queue_by_index(index)
    if "key" in kwargs and kwargs["key"] not in Worker.all_keys(connection=queue.connection):
        raise Http404("There is no such worker.")
    named = [kwargs["job_id"]] if "job_id" in kwargs else request.POST.getlist("job_ids")
    for job_id in named:
        try:
            Job.fetch(job_id, connection=queue.connection, serializer=queue.serializer)
        except (NoSuchJobError, ValueError) as error:  # ValueError: not even the form of an id
            raise Http404("There is no such job.") from error
    return named


def _record(request: HttpRequest, name: str, index: int, jobs: list[str]) -> None:
    """Write down what is about to be done: Valkey's part cannot be in the transaction, and no act goes unrecorded."""
    queue = get_queue_by_index(index)
    act = request.POST.get("action", "") if name == "actions" else name
    details = {"act": act[:50], "jobs": jobs[:100], "waiting": queue.count}
    record.record(
        [
            record.event(
                AuditAction.QUEUE_CHANGED,
                now=timezone.now(),
                actor=actor_of(request),
                object_name=f"queue {queue.name}",
                details=details,
            )
        ]
    )


Dashboard._meta.verbose_name_plural = _("queues of jobs")
if admin.site.is_registered(Dashboard):
    admin.site.unregister(Dashboard)
admin.site.register(Dashboard, QueuePages)
