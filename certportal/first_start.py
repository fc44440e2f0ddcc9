"""The first contents of a new portal."""

from datetime import datetime

from django.conf import settings
from django.contrib.auth import get_user_model

from certportal.secret_files import generated_secret


def prepare(_now: datetime) -> None:
    """Make what a portal must have before its first page is shown; whatever exists already stays as it is."""
    users = get_user_model()
    if not users.objects.filter(username="admin").exists():
        password = settings.ADMIN_PASSWORD or generated_secret(settings.HOME / "admin-password")
        users.objects.create_superuser("admin", "", password)
