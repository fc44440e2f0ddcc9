"""A virtual meter: its flash, and what its firmware does on a renewal trigger.

The meter loses power between any two steps and still ends with a certificate that works: the old one stays in
`current.pem` until the new one has authenticated.
"""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from inventory.private_files import write_whole
from inventory.x509.names import alternative_names
from renewal.simulation.est_client import EstClient


@dataclass(frozen=True)
class Flash:
    """The files of one meter: `current.pem` (key and certificate in use) and, during a renewal, their successors."""

    directory: Path

    @property
    def current(self) -> Path:
        return self.directory / "current.pem"

    @property
    def next_key(self) -> Path:
        return self.directory / "next.key"

    @property
    def next(self) -> Path:
        return self.directory / "next.pem"

    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.current.read_bytes())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def renew(flash: Flash, client: EstClient) -> x509.Certificate:
    """Renew and switch over, going on from wherever an earlier call was cut off. Return the certificate now in use.

    Raises what the client raises; the meter then still works with its current certificate.
    """
    if not flash.next.exists():
        _fetch_next(flash, client)
    # The first authentication with the new certificate: it must work before the old one is given up.
    client.cacerts(flash.next)
    # In this order: a key that outlived the switch would be asked for again in the next renewal, and refused as used.
    flash.next_key.unlink(missing_ok=True)
    flash.next.replace(flash.current)
    return flash.certificate()


def _fetch_next(flash: Flash, client: EstClient) -> None:
    if not flash.next_key.exists():
        write_whole(flash.next_key, key_pem(ec.generate_private_key(ec.SECP256R1())))
    pem = flash.next_key.read_bytes()
    key = load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{flash.next_key} holds no EC key.")
    issued = client.simplereenroll(flash.current, _request(flash.certificate(), key))
    write_whole(flash.next, pem + issued.public_bytes(Encoding.PEM))


def _request(current: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> x509.CertificateSigningRequest:
    # RFC 7030 4.2.2: the names stay as they are.
    builder = x509.CertificateSigningRequestBuilder().subject_name(current.subject)
    names = alternative_names(current)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not current.subject.rdns)
    return builder.sign(key, hashes.SHA256())
