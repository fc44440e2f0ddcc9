"""Software keys: PKCS #8 files, encrypted with the portal's passphrase, readable by its user alone."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from inventory.private_files import write_once
from inventory.x509.keys import KeyType

_SIGNING_KEYS = (ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey, rsa.RSAPrivateKey)


class KeyUnavailable(Exception):
    """A key cannot be used: the file is missing, damaged, or the passphrase does not open it."""


class KeyExists(Exception):
    """A key of this name is there already."""


def generate(key_type: KeyType) -> CertificateIssuerPrivateKeyTypes:
    """Return a new private key of `key_type`."""
    match key_type:
        case KeyType.EC_P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyType.EC_P384:
            return ec.generate_private_key(ec.SECP384R1())
        case KeyType.ED25519:
            return ed25519.Ed25519PrivateKey.generate()
        case KeyType.RSA_2048 | KeyType.RSA_3072 | KeyType.RSA_4096:
            return rsa.generate_private_key(public_exponent=65537, key_size=int(key_type.removeprefix("rsa-")))


class SoftwareKeyStore:
    """The keys in one directory."""

    def __init__(self, directory: Path, passphrase: bytes) -> None:
        self._directory = directory
        self._passphrase = passphrase

    def _path(self, name: str) -> Path:
        if not name or Path(name).name != name:
            raise KeyUnavailable(f"{name!r} is not a key name.")
        return self._directory / f"{name}.pem"

    def load(self, name: str) -> CertificateIssuerPrivateKeyTypes:
        """Return the key called `name`. Raises KeyUnavailable."""
        path = self._path(name)
        try:
            key = load_pem_private_key(path.read_bytes(), self._passphrase)
        except FileNotFoundError as error:
            raise KeyUnavailable(f"Key {name} is not in the key store ({path}).") from error
        except OSError as error:
            raise KeyUnavailable(f"Key {name} cannot be read ({path}): {error.strerror}.") from error
        except (ValueError, TypeError) as error:
            raise KeyUnavailable(f"Key {name} does not open: wrong passphrase or damaged file ({path}).") from error
        if not isinstance(key, _SIGNING_KEYS):
            raise KeyUnavailable(f"Key {name} is of a kind that cannot sign certificates.")
        return key

    def create(self, name: str, key_type: KeyType) -> CertificateIssuerPrivateKeyTypes:
        """Make a key, and return it once its file is safely on disk. Raises KeyExists: a key is never written over."""
        key = generate(key_type)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(self._passphrase))
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            write_once(self._path(name), pem)
        except FileExistsError as error:
            raise KeyExists(f"Key {name} exists already; a key is never written over.") from error
        return key
