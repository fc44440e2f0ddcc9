"""WSGI entry of the portal plane: operators and API."""

import os

from django.core.wsgi import get_wsgi_application

from certportal.wsgi.body import BoundedBody

os.environ["CERTPORTAL_PLANE"] = "portal"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "certportal.settings")
_django = get_wsgi_application()

# It reads models, which are there only now.
from certportal.wsgi import large_bodies  # noqa: E402

application = BoundedBody(_django, allowance=large_bodies.allowance, render=large_bodies.render)
