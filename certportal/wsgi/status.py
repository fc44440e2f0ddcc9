"""WSGI entry of the status plane: CRLs, OCSP, SCEP."""

import os

from django.core.wsgi import get_wsgi_application

from certportal.wsgi.body import BoundedBody

os.environ["CERTPORTAL_PLANE"] = "status"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "certportal.settings")
application = BoundedBody(get_wsgi_application())
