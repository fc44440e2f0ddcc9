"""Every way in which a certificate can be asked for. A rule that is tested on this list holds on all of them.

A new way in belongs here; `test_every_way_in.py` fails on a module that asks gate and door for no way of this list.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.test import Client, override_settings
from django.utils import timezone

from inventory.audit.record import SYSTEM
from inventory.issuing.certificates import Admission, issue
from inventory.models import AuditAction, Certificate, Device
from inventory.sightings import record_sighting
from inventory.x509.csr import parse
from inventory.x509.keys import KeyType
from renewal import registration_authorities, secrets
from renewal.models import EnrolmentProtocol
from tests.factories import DAY, authority, common_name, csr_der, device, fleet, key, profile
from tests.renewal.protocols.scep.device import Sender, request_for, rsa_key, self_signed


class Listener:
    """The socket of our listener, as gunicorn hands it to the application: it knows who is on the other end."""

    def __init__(self, der: bytes | None) -> None:
        self._der = der

    def getpeercert(self, *, binary_form: bool) -> bytes | None:
        assert binary_form
        return self._der


@dataclass(frozen=True)
class Party:
    """A device with a certificate, in the middle of its renewal window, and the key that only the device has."""

    device: Device
    certificate: Certificate
    key: CertificateIssuerPrivateKeyTypes


Ask = Callable[[], bool]
"""Asks, and returns whether a certificate came back."""


@dataclass(frozen=True)
class WayIn:
    """`prepare` gets ready whatever the device needs to ask; `module` is where the way asks gate and door."""

    module: str
    refusal: AuditAction
    prepare: Callable[[Party], Ask]
    without_certificate: bool = False
    """Whether another credential than a certificate of the device opens it."""
    make_key: Callable[[], CertificateIssuerPrivateKeyTypes] = key

    def party(self, now: datetime) -> Party:
        """Return a device that may come this way."""
        private_key = self.make_key()
        if isinstance(private_key, rsa.RSAPrivateKey):
            profile(key_types=[KeyType.EC_P256, KeyType.RSA_2048])
            request = request_for(private_key, common_name(""))
        else:
            request = csr_der(private_key)  # type: ignore[arg-type]
        meter = device(fleet=fleet())
        rules = meter.fleet.profile
        admission = Admission(meter, rules, meter.fleet.authority, parse(request), SYSTEM)
        certificate = issue(admission, now + 30 * DAY - rules.validity)
        record_sighting(certificate, meter, now=certificate.issued_at + DAY, actor=SYSTEM)
        return Party(meter, certificate, private_key)


def _est(operation: str, csr: bytes, *, tls: bytes | None = None, **headers: str) -> bool:
    with override_settings(ROOT_URLCONF="certportal.urls.device"):
        response: HttpResponse = Client().post(  # type: ignore[assignment]
            f"/.well-known/est/demo/{operation}",
            base64.b64encode(csr),
            content_type="application/pkcs10",
            headers={"User-Agent": "libest", **headers},
            **{"gunicorn.socket": Listener(tls)},
        )
    assert response.status_code in (200, 403), response.content
    return response.status_code == 200


def _est_by_secret(meter: Party) -> Ask:
    secret = secrets.create(meter.device, EnrolmentProtocol.EST, now=timezone.now(), actor=SYSTEM)
    authorization = f"Basic {base64.b64encode(f'{meter.device.serial}:{secret}'.encode()).decode()}"
    return lambda: _est("simpleenroll", csr_der(key()), Authorization=authorization)


def _est_by_certificate(operation: str) -> Callable[[Party], Ask]:
    def prepare(meter: Party) -> Ask:
        der, subject = bytes(meter.certificate.der), meter.certificate.x509.subject
        return lambda: _est(operation, csr_der(key(), subject), tls=der)

    return prepare


def _registrar() -> x509.Certificate:
    now = timezone.now()
    registration_authorities.renew_if_due(authority(), now)
    return registration_authorities.load(authority().pk, now)[0].certificate


def _scep(sender: Sender, request: bytes, message_type: str, registrar: x509.Certificate) -> bool:
    message = sender.message(request, registrar, message_type=message_type)
    with override_settings(ROOT_URLCONF="certportal.urls.status"):
        address = "/scep/demo?operation=PKIOperation"
        response = Client().post(address, message, content_type="application/x-pki-message")
    assert response.status_code == 200, response.content
    return sender.read(response.content, registrar).status == "0"


def _scep_by_secret(meter: Party) -> Ask:
    secret, registrar = _scep_secret(meter), _registrar()
    sender = Sender(self_signed(rsa_key(2), common_name("")), rsa_key(2))
    return lambda: _scep(sender, request_for(rsa_key(2), common_name(""), secret), "19", registrar)


def _scep_secret(meter: Party) -> str:
    return secrets.create(meter.device, EnrolmentProtocol.SCEP, now=timezone.now(), actor=SYSTEM)


def _scep_by_certificate(message_type: str) -> Callable[[Party], Ask]:
    def prepare(meter: Party) -> Ask:
        assert isinstance(meter.key, rsa.RSAPrivateKey)
        sender, registrar = Sender(meter.certificate.x509, meter.key), _registrar()
        new = rsa_key(int(message_type))
        return lambda: _scep(sender, request_for(new, meter.certificate.x509.subject), message_type, registrar)

    return prepare


def _by_service_account(meter: Party) -> Ask:
    backend = get_user_model().objects.filter(username="backend").first()
    backend = backend or get_user_model().objects.create_superuser("backend", "", "password")
    body = {"fleet": "demo", "device": meter.device.serial, "csr": base64.b64encode(csr_der(key())).decode()}

    def ask() -> bool:
        client = Client()
        client.force_login(backend)
        with override_settings(ROOT_URLCONF="certportal.urls.portal"):
            response = client.post("/api/v1/enrolments/", body, content_type="application/json")
        assert response.status_code in (200, 201, 403), response.content
        return response.status_code != 403

    return ask


_EST, _SCEP = "renewal.protocols.est.views", "renewal.protocols.scep.views"
_ENROLMENT, _RENEWAL = AuditAction.ENROLMENT_REFUSED, AuditAction.RENEWAL_REFUSED
WAYS_IN = {
    "simpleenroll by secret": WayIn(_EST, _ENROLMENT, _est_by_secret, without_certificate=True),
    "simpleenroll by TLS": WayIn(_EST, _RENEWAL, _est_by_certificate("simpleenroll")),
    "simplereenroll": WayIn(_EST, _RENEWAL, _est_by_certificate("simplereenroll")),
    "PKCSReq by challenge": WayIn(_SCEP, _ENROLMENT, _scep_by_secret, without_certificate=True, make_key=rsa_key),
    "PKCSReq by certificate": WayIn(_SCEP, _RENEWAL, _scep_by_certificate("19"), make_key=rsa_key),
    "by a service account": WayIn("renewal.api.enrolments", _ENROLMENT, _by_service_account, without_certificate=True),
    "RenewalReq": WayIn(_SCEP, _RENEWAL, _scep_by_certificate("17"), make_key=rsa_key),
}
