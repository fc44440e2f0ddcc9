"""The pages of the queues: for whom they are, what is not found, and that no act goes unrecorded."""

import json

import django_rq
import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from rq import SimpleWorker
from rq.job import Job

from certportal.models import User
from certportal.queue_pages import CHANGE, VIEW
from inventory.models import AuditAction, AuditEvent


@pytest.fixture
def queue(db):
    made = django_rq.get_queue("urgent", commit_mode="auto")
    made.connection.flushdb()
    yield made
    made.connection.flushdb()


@pytest.fixture
def job(queue) -> Job:
    return queue.enqueue("revocation.jobs.publish_crl", "mfg-1", None, "urgent")


URGENT = 2  # by name


def somebody(client, *permissions: str) -> None:
    person = User.objects.create_user("somebody", is_staff=True)
    names = [permission.partition(".")[2] for permission in permissions]
    person.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(person)


def page(name: str, *arguments: object) -> str:
    return reverse(f"admin:django_rq_{name}", args=arguments)


ACTS = ["clear", "requeue_all", "delete_failed_jobs", "actions", "confirm_action"]
ACTS_ON_A_JOB = ["delete_job", "requeue_job", "enqueue_job", "stop_job"]


def test_staff_without_the_right_neither_sees_nor_empties_a_queue(client, queue, job):
    somebody(client)
    for name in ["home", "home_json"]:
        assert client.get(page(name)).status_code == 403
    for name in ["jobs", "queue_details", "failed_jobs", "workers", *ACTS]:
        assert client.get(page(name, URGENT)).status_code == 403
    for name in ACTS:
        assert client.post(page(name, URGENT), {"post": "yes"}).status_code == 403
    for name in ACTS_ON_A_JOB:
        assert client.post(page(name, URGENT, job.id)).status_code == 403
    assert queue.job_ids == [job.id]


def test_who_may_see_queues_may_not_change_them(client, queue, job):
    somebody(client, VIEW)
    assert client.get(page("home")).status_code == 200
    assert "publish_crl" in client.get(page("jobs", URGENT)).content.decode()
    assert client.get(page("job_detail", URGENT, job.id)).status_code == 200
    assert client.post(page("clear", URGENT)).status_code == 403
    assert client.post(page("delete_job", URGENT, job.id)).status_code == 403
    assert queue.job_ids == [job.id]


def test_an_act_is_in_the_audit_log_with_its_person(client, queue, job):
    somebody(client, VIEW, CHANGE)
    assert client.get(page("clear", URGENT)).status_code == 200
    assert not AuditEvent.objects.filter(action=AuditAction.QUEUE_CHANGED).exists()
    assert client.post(page("delete_job", URGENT, job.id)).status_code == 302
    queue.enqueue("revocation.jobs.sweep_crls")
    assert client.post(page("clear", URGENT)).status_code == 302
    assert queue.job_ids == []
    events = AuditEvent.objects.filter(action=AuditAction.QUEUE_CHANGED).order_by("id")
    assert [(event.actor, event.object_name, event.details) for event in events] == [
        ("somebody", "queue urgent", {"act": "delete_job", "jobs": [job.id], "waiting": 1}),
        ("somebody", "queue urgent", {"act": "clear", "jobs": [], "waiting": 1}),
    ]


@pytest.mark.parametrize("job_id", ["none", "a:b", "%00", "é", "x" * 300])
def test_what_there_is_not_is_not_found(client, queue, job, job_id):
    somebody(client, VIEW, CHANGE)
    addresses = [page(name, URGENT, job_id) for name in ["job_detail", *ACTS_ON_A_JOB]]
    addresses += [page("result_detail", URGENT, job_id, "x"), page("worker_details", URGENT, job_id)]
    addresses += [page(name, 7) for name in ["jobs", "queue_details", "finished_jobs", "workers", *ACTS]]
    addresses += [page("cron_scheduler_detail", 0, "none"), "/admin/r/1/1/", "/admin/django_rq/dashboard/1/change/"]
    for address in addresses:
        assert client.get(address).status_code in {404, 405}, address
        assert client.post(address).status_code in {404, 405}, address
    for action in ["delete", "requeue", "stop"]:
        answer = client.post(page("actions", URGENT), {"action": action, "job_ids": [job_id]})
        assert answer.status_code == 404


def test_requeueing_what_has_not_failed_is_not_found(client, queue, job):
    somebody(client, VIEW, CHANGE)
    assert client.post(page("requeue_job", URGENT, job.id)).status_code == 404


def test_jobs_are_json_and_a_worker_reads_them(queue):
    put = queue.enqueue("certportal.cron.beat")
    assert json.loads(put.data) == ["certportal.cron.beat", None, [], {}]
    worker = SimpleWorker([queue], connection=queue.connection, serializer=queue.serializer)
    worker.work(burst=True)
    assert put.is_finished
