import django_rq
import pytest

from revocation import views


@pytest.fixture(autouse=True)
def own_home(settings, tmp_path):
    """Keys and CRLs of one test; no other test, and no other process of the run, writes there."""
    settings.HOME = tmp_path


@pytest.fixture(autouse=True)
def fresh_process():
    """What a process remembers between requests belongs to one test's database."""
    views.responders.forget()


@pytest.fixture
def queues():
    """The queues in Valkey, empty before and after."""
    named = {name: django_rq.get_queue(name, commit_mode="auto") for name in ("urgent", "default")}
    for queue in named.values():
        queue.connection.flushdb()
    yield named
    for queue in named.values():
        queue.connection.flushdb()


@pytest.fixture
def status_plane(settings):
    settings.ROOT_URLCONF = "certportal.urls.status"
    settings.MIDDLEWARE = settings._MACHINE_MIDDLEWARE
