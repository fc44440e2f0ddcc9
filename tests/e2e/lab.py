"""Devices, keys and certificates in the hands of a test: those the portal made, and those of an impostor."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

DAY = timedelta(days=1)


@dataclass(frozen=True)
class LabDevice:
    """What a device carries: the files that `manage.py lab_device` wrote, or their like."""

    serial: str
    directory: Path

    @property
    def certificate(self) -> Path:
        return self.directory / "cert.pem"

    @property
    def key(self) -> Path:
        return self.directory / "key.pem"

    @property
    def issuer(self) -> Path:
        return self.directory / "issuer.pem"

    @property
    def chain(self) -> Path:
        return self.directory / "chain.pem"

    @property
    def root(self) -> Path:
        return self.directory / "root.pem"

    @property
    def trust(self) -> Path:
        """What the device trusts when it speaks to the device plane."""
        return self.directory / "tls-ca.pem"

    @property
    def x509(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate.read_bytes())

    @property
    def serial_number(self) -> str:
        return f"{self.x509.serial_number:x}"

    @property
    def private_key(self) -> ec.EllipticCurvePrivateKey:
        key = load_pem_private_key(self.key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    def renewal_request(self) -> bytes:
        """Return the request (DER) of a well-behaved device: a new key, the same names."""
        return request_for(self.x509.subject)


def request_for(
    subject: x509.Name | str,
    *,
    key: ec.EllipticCurvePrivateKey | None = None,
    alternative_names: Sequence[x509.GeneralName] = (),
) -> bytes:
    """Return a signed certification request (DER) for a name, or for the text of a distinguished name."""
    name = subject if isinstance(subject, x509.Name) else x509.Name.from_rfc4514_string(subject)
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    if alternative_names:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternative_names), critical=False)
    key = key or ec.generate_private_key(ec.SECP256R1())
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def impostor(victim: LabDevice, directory: Path, *, self_signed: bool) -> LabDevice:
    """Return a look-alike of `victim`: its serial number, names and extensions, but signed by a stranger.

    Either by the look-alike's own key, or by a CA that has the name of the real issuer.
    """
    real, key = victim.x509, ec.generate_private_key(ec.SECP256R1())
    signer = key if self_signed else ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(real.subject)
        .issuer_name(real.subject if self_signed else real.issuer)
        .public_key(key.public_key())
        .serial_number(real.serial_number)
        .not_valid_before(datetime.now(UTC) - DAY)
        .not_valid_after(real.not_valid_after_utc)
    )
    for extension in real.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return write_party(directory, key, builder.sign(signer, hashes.SHA256()), victim)


def write_party(
    directory: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, like: LabDevice
) -> LabDevice:
    """Write `key` and `certificate` as a device has them; what it trusts is as with the device `like`."""
    directory.mkdir(parents=True)
    made = LabDevice(like.serial, directory)
    made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    made.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    made.trust.write_bytes(like.trust.read_bytes())
    return made
