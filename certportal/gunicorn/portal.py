"""The portal plane: operators and API clients."""

import os

from django.conf import settings

from certportal.gunicorn.common import *  # noqa: F403  (gunicorn reads the globals of this module)

# Before the first look at the settings, which depend on it.
os.environ["CERTPORTAL_PLANE"] = "portal"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "certportal.settings")

bind = settings.PORTAL_BIND
workers = 2
