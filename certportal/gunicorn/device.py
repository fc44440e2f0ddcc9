"""The device plane: EST over TLS, the client's certificate optional and checked by the application."""

import os

from django.conf import settings

from certportal.gunicorn.common import *  # noqa: F403  (gunicorn reads the globals of this module)
from certportal.gunicorn.device_tls import DeviceTls, TlsFiles

# Before the first look at the settings, which depend on it.
os.environ["CERTPORTAL_PLANE"] = "device"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "certportal.settings")

_files = TlsFiles.of(settings.HOME)

bind = settings.DEVICE_BIND
workers = 2
# These two make gunicorn speak TLS; what it speaks is decided by `ssl_context`.
certfile = str(_files.certificate)
keyfile = str(_files.key)
http_protocols = "h1"


def ssl_context(_config: object, _default: object) -> DeviceTls:
    return DeviceTls(_files)
