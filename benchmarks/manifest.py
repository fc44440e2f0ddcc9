"""The manifest that `imports` reads: devices with certificates in PEM, each with a key of its own, made once and kept.

Names, numbers and keys are of each certificate's own and valid; the signature is one of a pool that a foreign
authority really made, so it does not verify: an import keeps what others signed, and asks nobody for their keys.
"""

import base64
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

HEADER = "Serial No,Plant,Run,Phone,MQTT,Lat,Lon,PEM\n"
MAPPING = {
    "Serial No": "device_serial",
    "Plant": "site",
    "Run": "batch",
    "Phone": "phone_number",
    "MQTT": "mqtt_id",
    "Lat": "latitude",
    "Lon": "longitude",
    "PEM": "certificate",
}
_SIGNATURES = 2000
_CLOCK = datetime(2026, 1, 1, tzinfo=UTC)
_PLACEHOLDER = "MTR-00000000"
# Of each record: the quote behind its certificate.
LAST_LINE = '"\n'


def manifest(path: Path, devices: int) -> Path:
    """Return a manifest of so many devices at `path`, made if it is not there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".part")
        with draft.open("w", newline="") as stream:
            stream.write(HEADER)
            stream.writelines(_lines(devices))
        draft.replace(path)
    return path


def first_half(path: Path, devices: int) -> Path:
    """Return the first half of a manifest as a file of its own."""
    half = path.with_name(f"{path.stem}-half.csv")
    if not half.exists():
        left = devices // 2
        with path.open(newline="") as whole, half.open("w", newline="") as stream:
            for line in whole:
                stream.write(line)
                left -= line == LAST_LINE
                if not left:
                    break
    return half


def _lines(devices: int) -> Iterator[str]:
    workshop = _Workshop()
    for number in range(devices):
        serial = f"MTR-{number:08}"
        pem = workshop.certificate(serial, day=number // 2000)
        yield (
            f"{serial},Plant {number % 40},R{number // 20_000:04},+6012{number:08},mtr:{number:08},"
            f'{1 + number % 5_000_000 / 1_000_000:.6f},{100 + number % 4_000_000 / 1_000_000:.6f},"{pem}"\n'
        )


class _Workshop:
    """Puts certificates together from one that a builder made: what differs has the same length in all of them."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self._templates: dict[int, tuple[bytes, int, int, int]] = {}
        self._issuer_key = key
        self._signatures = [
            signature
            for _ in range(2 * _SIGNATURES)
            if len(signature := key.sign(secrets.token_bytes(32), ec.ECDSA(hashes.SHA256()))) == 71
        ]

    def certificate(self, serial: str, day: int) -> str:
        template, number_at, name_at, key_at = self._template(day)
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        der = bytearray(template)
        der[number_at + 1 : number_at + 20] = secrets.token_bytes(19)
        der[name_at : name_at + len(serial)] = serial.encode()
        der[key_at : key_at + 65] = point
        der[-71:] = secrets.choice(self._signatures)
        body = base64.encodebytes(der).decode()
        return f"-----BEGIN CERTIFICATE-----\n{_rewrapped(body)}-----END CERTIFICATE-----\n"

    def _template(self, day: int) -> tuple[bytes, int, int, int]:
        """Return a certificate that begins on a day, and where its number, name and key are."""
        if day not in self._templates:
            der, point = self._signed(day)
            number = bytes.fromhex("0214") + (1 << 157).to_bytes(20)
            self._templates[day] = (
                der,
                der.index(number) + 2,
                der.index(_PLACEHOLDER.encode()),
                der.index(point),
            )
        return self._templates[day]

    def _signed(self, day: int) -> tuple[bytes, bytes]:
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        begin = _CLOCK + timedelta(days=day % 365)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name.from_rfc4514_string(f"CN={_PLACEHOLDER},O=Foreign Meters"))
            .issuer_name(x509.Name.from_rfc4514_string("CN=Foreign Device CA,O=Foreign Meters"))
            .public_key(key)
            .serial_number(1 << 157)
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(days=3 * 365))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._issuer_key.public_key()), False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        )
        while True:
            der = builder.sign(self._issuer_key, hashes.SHA256()).public_bytes(Encoding.DER)
            if der[-73:-71] == b"\x47\x00" or der[-72:-71] == b"\x00":  # a signature of 71 octets
                return der, key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _rewrapped(body: str) -> str:
    text = body.replace("\n", "")
    return "".join(f"{text[at : at + 64]}\n" for at in range(0, len(text), 64))
