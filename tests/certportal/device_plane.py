"""gunicorn's configuration of the device plane with one worker and the patience of a test, and what shows it."""

import os

from certportal.gunicorn.device import *  # noqa: F403  (gunicorn reads the globals of this module)
from certportal.gunicorn.device import _files
from certportal.gunicorn.device_tls import DeviceTls
from certportal.wsgi.body import BoundedBody

_patience = float(os.environ["PATIENCE"])

workers = 1
keepalive = int(_patience)


def ssl_context(_config, _default):  # type: ignore[no-redef]
    return DeviceTls(_files, handshake_seconds=_patience)


def _show(environ, start_response):
    connection = environ["gunicorn.socket"]
    certificate = connection.getpeercert(binary_form=True)
    text = f"{connection.version()} {len(environ['wsgi.input'].read())} {certificate.hex() if certificate else '-'}"
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text.encode()]


application = BoundedBody(_show, seconds=_patience)
