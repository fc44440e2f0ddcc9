"""The device plane's own certificate and the authorities whose devices it lets in, kept as files for the listener."""

import ipaddress
import socket
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from django.conf import settings

from certportal.addresses import Address
from certportal.gunicorn.device_tls import TlsFiles
from inventory.audit.record import SYSTEM
from inventory.issuing.authorities import chain
from inventory.issuing.certificates import InfrastructureRequest, issue_infrastructure
from inventory.models import Authority, Certificate, Purpose
from inventory.private_files import write_whole

_VALIDITY = timedelta(days=90)
_RENEW_BEFORE = timedelta(days=30)


def ensure(now: datetime) -> None:
    """Write the listener's files where they are missing, near their end or out of date. It picks them up by itself."""
    authority = _issuer(now)
    if authority is None:
        return
    files = TlsFiles.of(settings.HOME)
    files.certificate.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_if_other(files.client_authorities, _pem(_client_authorities()))
    _write_if_other(files.certificate.with_name("root.pem"), _pem(chain(authority)[-1:]))
    if not _serves(files, authority, now):
        _issue(files, authority, now)


def _issuer(now: datetime) -> Authority | None:
    """Return the issuing authority that can sign the longest, the oldest of several."""
    able = Authority.objects.own().filter(certificate__in=Certificate.objects.valid(now)).exclude(parent=None)
    able = able.exclude(pk__in=Authority.objects.revoked())
    return able.select_related("certificate", "parent__certificate").order_by("-certificate__not_after", "pk").first()


def _client_authorities() -> list[Certificate]:
    own = Certificate.objects.filter(purpose=Purpose.AUTHORITY, subject_authority__key_name__isnull=False)
    return list(own.order_by("pk"))


def hosts() -> list[str]:
    """Return the names and addresses by which devices reach the listener; bound to every one, this host's own name."""
    bound, _port = Address("CERTPORTAL_DEVICE_BIND", settings.DEVICE_BIND).host_and_port()
    public = urlsplit(settings.PUBLIC_DEVICE_URL).hostname
    named = (_one_spelling(host) for host in (public, bound) if host)
    return list(dict.fromkeys(host for host in named if host not in _EVERYWHERE)) or [socket.gethostname().lower()]


def _one_spelling(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower()


_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - left out of certificates, not bound to


def _serves(files: TlsFiles, authority: Authority, now: datetime) -> bool:
    """Whether the files in place are one pair, issued by `authority`, for the hosts of today and some time to come."""
    try:
        key = load_pem_private_key(files.key.read_bytes(), None)
        own = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        own.verify_directly_issued_by(authority.x509)
    except (FileNotFoundError, ValueError, TypeError, InvalidSignature):
        return False
    names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    named = {str(name.value) for name in names}
    fits = own.public_key() == key.public_key() and set(hosts()) <= named
    # Nothing that this authority signs lives longer than the authority.
    as_long_as_can_be = own.not_valid_after_utc >= authority.x509.not_valid_after_utc
    return fits and (as_long_as_can_be or own.not_valid_after_utc - _RENEW_BEFORE > now)


def _issue(files: TlsFiles, authority: Authority, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = InfrastructureRequest(Purpose.TLS_SERVER, key.public_key(), "certportal device plane", _VALIDITY, hosts())
    certificate = issue_infrastructure(request, authority, now=now, actor=SYSTEM)
    # The root is left out: who trusts it has it (RFC 5246 7.4.2).
    write_whole(files.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    write_whole(files.certificate, _pem([certificate, *chain(authority)[:-1]]))


def _pem(certificates: list[Certificate]) -> bytes:
    return b"".join(certificate.x509.public_bytes(Encoding.PEM) for certificate in certificates)


def _write_if_other(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        write_whole(path, content)
