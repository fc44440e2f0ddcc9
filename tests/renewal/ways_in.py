"""Every way in which a certificate can be asked for. A rule that is tested on this list holds on all of them.

A new way in belongs here; `test_every_way_in.py` fails on an address of the device plane that no way uses.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from inventory.models import AuditAction, Device
from tests.factories import Enrolled, csr_der, key
from tests.renewal.rows import secret_of


class Listener:
    """The socket of our listener, as gunicorn hands it to the application: it knows who is on the other end."""

    def __init__(self, der: bytes | None) -> None:
        self._der = der

    def getpeercert(self, *, binary_form: bool) -> bytes | None:
        assert binary_form
        return self._der


def _post(operation: str, csr: bytes, *, tls: bytes | None = None, **headers: str) -> HttpResponse:
    response: HttpResponse = Client().post(  # type: ignore[assignment]
        f"/.well-known/est/demo/{operation}",
        base64.b64encode(csr),
        content_type="application/pkcs10",
        headers={"User-Agent": "libest", **headers},
        **{"gunicorn.socket": Listener(tls)},
    )
    return response


@dataclass(frozen=True)
class WayIn:
    """`prepare` gets ready whatever the device needs to ask, and returns how it asks."""

    operation: str
    refusal: AuditAction
    prepare: Callable[[Enrolled], Callable[[], HttpResponse]]


def _by_secret(meter: Enrolled) -> Callable[[], HttpResponse]:
    device: Device = meter.device
    credentials = f"{device.serial}:{secret_of(device, now=timezone.now())}"
    authorization = f"Basic {base64.b64encode(credentials.encode()).decode()}"
    return lambda: _post("simpleenroll", csr_der(key()), Authorization=authorization)


def _by_certificate(operation: str) -> Callable[[Enrolled], Callable[[], HttpResponse]]:
    return lambda meter: lambda: _post(operation, meter.renewal_request(), tls=meter.der)


WAYS_IN = {
    "simpleenroll by secret": WayIn("simpleenroll", AuditAction.ENROLMENT_REFUSED, _by_secret),
    "simpleenroll by TLS": WayIn("simpleenroll", AuditAction.RENEWAL_REFUSED, _by_certificate("simpleenroll")),
    "simplereenroll": WayIn("simplereenroll", AuditAction.RENEWAL_REFUSED, _by_certificate("simplereenroll")),
}
