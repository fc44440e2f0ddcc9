import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from certportal.models import User
from inventory.models import Batch, Fleet, Site
from tests import factories
from tests.factories import DAY


@pytest.fixture(autouse=True)
def _quick_pages(settings):
    """Passwords cost nothing, and static files are named as they lie: what `collectstatic` makes has its own test."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture
def boss(db) -> User:
    return User.objects.create_superuser("boss", password="a long enough password")


@pytest.fixture
def page(client, boss):
    """A browser of somebody who may do everything; returns the text of a page."""
    client.force_login(boss)

    def get(address: str, **query: object) -> str:
        response = client.get(address, query, follow=True)
        assert response.status_code == 200, (address, response.status_code)
        return response.content.decode()

    get.client = client  # type: ignore[attr-defined]
    return get


@pytest.fixture
def viewer(db) -> User:
    """Somebody of the staff who may only look."""
    user = User.objects.create_user("viewer", is_staff=True, all_fleets=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    return user


@pytest.fixture
def small_fleet(db):
    return plant_small_fleet()


def plant_small_fleet() -> Fleet:
    """Make devices in every state that a tile counts, now: pages read the clock."""
    now = timezone.now()
    fleet = factories.fleet()
    site = Site.objects.create(fleet=fleet, name="Penang")
    batch = Batch.objects.create(fleet=fleet, name="B7")
    meters = [factories.device(site=site, batch=batch) for _ in range(12)]
    factories.enrolled_many(meters, expires_in=40 * DAY, now=now)
    factories.enrolled(factories.device(site=site), expires_in=-3 * DAY, now=now)
    factories.enrolled(factories.device(), expires_in=300 * DAY, now=now)
    gone = factories.enrolled(factories.device(site=site), expires_in=200 * DAY, now=now).certificate
    gone.state, gone.revoked_at, gone.revocation_reason, gone.activated_at = "revoked", now, "keyCompromise", None
    gone.save()
    factories.device(site=site)
    return fleet
