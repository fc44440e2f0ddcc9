"""The status plane: CRLs, OCSP, SCEP and issuer certificates over plain HTTP."""

import os

from django.conf import settings

from certportal.gunicorn.common import *  # noqa: F403  (gunicorn reads the globals of this module)

# Before the first look at the settings, which depend on it.
os.environ["CERTPORTAL_PLANE"] = "status"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "certportal.settings")

bind = settings.STATUS_BIND
workers = 1
# A SCEP message may come in the address (RFC 8894 4.1). gunicorn takes no longer line.
limit_request_line = 8190
