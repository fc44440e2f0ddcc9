"""Posting JSON to an address that a person configured: bounded in time, never following a redirect."""

import http.client
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from inventory.alerts.channels.messages import Handover

_SECONDS = 10
_KEPT_OF_REFUSAL = 120


def post(address: str, body: bytes, headers: Mapping[str, str]) -> Handover:
    """Post `body`. Accepted is what the other side answers with 2xx; a redirect could lead anywhere and is not."""
    try:
        parts = urlsplit(address)
        connection = _connect(parts.scheme, parts.hostname or "", parts.port)
    except ValueError as error:
        return Handover(False, f"The address is no URL of a webhook: {error}"[:300])
    target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    try:
        connection.request("POST", target, body, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        said = response.read(_KEPT_OF_REFUSAL).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Handover(False, f"{parts.hostname} does not answer: {error or type(error).__name__}"[:300])
    finally:
        connection.close()
    if 200 <= response.status < 300:
        return Handover(True)
    return Handover(False, f"{parts.hostname} answered {response.status}: {said}".replace("\x00", "")[:300])


def _connect(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=ssl.create_default_context())
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=_SECONDS)
    raise ValueError(f"its scheme is {scheme!r}, not https")
