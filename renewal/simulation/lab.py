"""Laboratory devices: a device with its key and certificate as files, for benches and tests."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import transaction

from inventory.audit.record import Actor
from inventory.issuing.authorities import chain
from inventory.issuing.certificates import Admission, issue
from inventory.models import Certificate, Device, Fleet
from inventory.private_files import write_whole
from inventory.x509.csr import parse
from renewal.simulation.virtual_device import key_pem


@dataclass(frozen=True)
class LabPlan:
    """`validity` replaces the profile's; `expires_in`, negative for the past, moves the issue back so that it holds."""

    serial: str
    fleet: Fleet
    validity: timedelta | None = None
    expires_in: timedelta | None = None


def make(plan: LabPlan, directory: Path, *, now: datetime, actor: Actor) -> Certificate:
    """Register the device, issue its certificate and write the files a client needs into `directory`.

    Written are `key.pem cert.pem issuer.pem chain.pem root.pem tls-ca.pem`.
    """
    profile = plan.fleet.profile
    # Never saved: only this one certificate is made by other rules.
    profile.validity = plan.validity or profile.validity
    issued_at = now
    if plan.expires_in is not None:
        profile.jitter_max = timedelta(0)
        issued_at = now + plan.expires_in - profile.validity
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    with transaction.atomic():
        device = Device.objects.create(fleet=plan.fleet, serial=plan.serial, registered_at=issued_at)
        admission = Admission(device, profile, plan.fleet.authority, parse(request.public_bytes(Encoding.DER)), actor)
        certificate = issue(admission, issued_at)
        _write(directory, key, certificate, plan.fleet)
    return certificate


def _write(directory: Path, key: ec.EllipticCurvePrivateKey, certificate: Certificate, fleet: Fleet) -> None:
    pem = [each.x509.public_bytes(Encoding.PEM) for each in chain(fleet.authority)]
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = {
        "key.pem": key_pem(key),
        "cert.pem": certificate.x509.public_bytes(Encoding.PEM),
        "issuer.pem": pem[0],
        "chain.pem": b"".join(pem),
        "root.pem": pem[-1],
        # The device plane's own certificate comes from the same root.
        "tls-ca.pem": pem[-1],
    }
    for name, content in files.items():
        write_whole(directory / name, content)
