"""A small EST client (RFC 7030), as a meter's firmware would have it: TLS by certificate, one request a connection."""

import base64
import http.client
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

_SECONDS = 30


class EstError(Exception):
    """The server refused or could not be understood; the text holds its status and its one line."""


@dataclass(frozen=True)
class EstClient:
    """Talks to the EST server at `url` (with its label), trusting only the CA certificates in the file `trust`."""

    url: str
    trust: Path

    def cacerts(self, identity: Path) -> list[x509.Certificate]:
        """Fetch the CA certificates, authenticating with the certificate and key in the file `identity`."""
        return self._ask("GET", "cacerts", identity)

    def simplereenroll(self, identity: Path, request: x509.CertificateSigningRequest) -> x509.Certificate:
        """Renew the certificate in the file `identity`. Raises EstError, ssl.SSLError or OSError."""
        body = base64.encodebytes(request.public_bytes(Encoding.DER))
        certificates = self._ask("POST", "simplereenroll", identity, body)
        if len(certificates) != 1:
            raise EstError(f"The answer holds {len(certificates)} certificates instead of one.")
        return certificates[0]

    def _ask(self, method: str, operation: str, identity: Path, body: bytes | None = None) -> list[x509.Certificate]:
        parts = urlsplit(self.url)
        if parts.scheme != "https" or not parts.netloc:
            raise EstError(f"{self.url!r} is not the https address of an EST server.")
        context = ssl.create_default_context(cafile=str(self.trust))
        context.load_cert_chain(str(identity))
        connection = http.client.HTTPSConnection(parts.netloc, timeout=_SECONDS, context=context)
        headers = {"Content-Type": "application/pkcs10", "User-Agent": "virtual-meter"} if body else {}
        try:
            connection.request(method, f"{parts.path}/{operation}", body, headers)
            response = connection.getresponse()
            answer = response.read()
        except http.client.HTTPException as error:
            raise EstError(f"The server does not speak HTTP: {error!r}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise EstError(f"{response.status} {answer.decode(errors='replace').strip()}")
        try:
            return pkcs7.load_der_pkcs7_certificates(base64.b64decode(answer))
        except ValueError as error:
            raise EstError("The answer is not the base64 of certificates.") from error
