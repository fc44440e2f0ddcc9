"""Secrets of gateways: passwords that the portal must be able to tell others, so they cannot be hashed.

They lie in the database encrypted (Fernet: AES-128-CBC with HMAC-SHA256) with a key that follows from the portal's own,
which does not lie there. Whoever changes CERTPORTAL_SECRET_KEY types them anew.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken
from django.utils.crypto import salted_hmac


class SecretUnreadable(Exception):
    """The secret was sealed with another key of the portal."""


def sealed(secret: str) -> bytes:
    """Return `secret` as it is stored."""
    return _box().encrypt(secret.encode())


def opened(stored: bytes | memoryview | None) -> str:
    """Return the secret; empty when there is none. Raises SecretUnreadable."""
    if stored is None:
        return ""
    try:
        return _box().decrypt(bytes(stored)).decode()
    except InvalidToken as error:
        raise SecretUnreadable("The secret does not open: CERTPORTAL_SECRET_KEY has changed. Type it anew.") from error


def _box() -> Fernet:
    key = salted_hmac("certportal.gateways.secret", "", algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(key))
