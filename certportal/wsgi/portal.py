"""WSGI entry of the portal plane: operators and API."""

import os

from django.core.wsgi import get_wsgi_application

os.environ["CERTPORTAL_PLANE"] = "portal"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "certportal.settings")
application = get_wsgi_application()
