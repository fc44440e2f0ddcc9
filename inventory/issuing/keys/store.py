"""Where the keys of our authorities live, and the only way to reach them.

A key is named by `Authority.key_name` (or a signer's) and comes back as an object that the builders of `cryptography`
accept. A software key is such an object; an HSM key is a subclass of it that signs elsewhere. What uses keys never
sees which one it got.
"""

from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from django.conf import settings

from inventory.issuing.keys.software import KeyUnavailable, SoftwareKeyStore
from inventory.x509.keys import KeyType


def _store(home: Path, passphrase: str) -> SoftwareKeyStore:
    return SoftwareKeyStore(home / "keys", passphrase.encode())


@lru_cache(maxsize=256)
def _loaded(home: Path, passphrase: str, name: str) -> CertificateIssuerPrivateKeyTypes:
    return _store(home, passphrase).load(name)


def signing_key(name: str | None) -> CertificateIssuerPrivateKeyTypes:
    """Return the key called `name`, decrypted once a process.

    Raises KeyUnavailable when it is missing or the passphrase does not open it, and for None: an external authority
    has no key here.
    """
    if name is None:
        raise KeyUnavailable("The authority is external: its key is not here, and it signs nothing.")
    return _loaded(settings.HOME, settings.KEY_PASSPHRASE, name)


def create_key(name: str, key_type: KeyType) -> CertificateIssuerPrivateKeyTypes:
    """Make and keep a new key called `name`.

    Raises KeyExists when the name is taken: a key is never written over.
    """
    return _store(settings.HOME, settings.KEY_PASSPHRASE).create(name, key_type)
