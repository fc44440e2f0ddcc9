"""WSGI entry of the device plane: EST over TLS."""

import os

from django.core.wsgi import get_wsgi_application

from certportal.wsgi.body import BoundedBody

os.environ["CERTPORTAL_PLANE"] = "device"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "certportal.settings")
application = BoundedBody(get_wsgi_application())
