"""The status plane: CRLs, OCSP, issuer certificates and trust bundles over plain HTTP, for anybody.

Answers carry no cookie, have an explicit length, and an error is one line of text. OCSP refusals are OCSP answers
with status 200 (RFC 6960 appendix A.1), as clients read nothing else.
"""

import base64
import binascii
import os
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import structlog
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import Error as DatabaseError
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.utils.http import http_date
from django.utils.translation import gettext as _

from inventory.models import Authority
from inventory.x509.der import DerError
from revocation import crl_files, ocsp
from revocation.bundles import bundle
from revocation.responder import Refusal, Responders, UnknownAuthority
from revocation.scopes import Scope
from revocation.signers import SignerUnavailable

log = structlog.get_logger(__name__)
responders = Responders()

_READING = ("GET", "HEAD")
_CACHES_KEEP = timedelta(minutes=1)


def crl(request: HttpRequest, authority: str, scope: str) -> HttpResponseBase:
    """Serve a published CRL from its file, as it is."""
    if request.method not in _READING:
        return _not_allowed(_READING)
    try:
        stream = crl_files.path(Scope(authority, None if scope == "all" else int(scope))).open("rb")
    except FileNotFoundError:
        return _not_found(_("There is no CRL at this address."))
    try:
        head = crl_files.head(stream.fileno())
    except DerError as error:
        stream.close()
        log.error("crl_damaged", authority=authority, scope=scope, why=str(error))
        return _text(503, _("The CRL at this address is damaged; a new one is published within a minute."))
    # Unlike a time or a size, the number never comes again with other contents. When the file was written, and not
    # thisUpdate, which precedes it: a client that asks by the time of its download would miss what came in between.
    etag, written_at = f'"{head.number}"', datetime.fromtimestamp(int(os.fstat(stream.fileno()).st_mtime), UTC)
    unchanged = get_conditional_response(request, etag, int(written_at.timestamp()))
    if unchanged:
        stream.close()
    response = unchanged or FileResponse(stream, content_type="application/pkix-crl")
    _allow_caching(response, etag, written_at, head.next_update)
    return response


def ocsp_status(request: HttpRequest, authority: str, encoded: str = "") -> HttpResponse:
    """Answer an OCSP request: the body of a POST, or base64 at the end of the path of a GET (RFC 6960 appendix A.1)."""
    now = timezone.now()
    match request.method:
        case "POST" if len(request.body) > ocsp.MAX_REQUEST_BYTES:
            return _text(413, _("An OCSP request has at most %d bytes.") % ocsp.MAX_REQUEST_BYTES)
        case "POST":
            body = request.body
        case "GET" | "HEAD":
            body = _from_path(encoded)
        case _:
            return _not_allowed(("GET", "HEAD", "POST"))
    try:
        responder = responders.of(authority, now)
        answer = responder.answer(ocsp.parse(body), now)
    except UnknownAuthority:
        return _not_found(_("There is no authority of this name."))
    except ocsp.MalformedRequest as error:
        answer = Refusal(ocsp.ResponseStatus.MALFORMED_REQUEST, str(error))
    except (SignerUnavailable, DatabaseError) as error:
        answer = Refusal(ocsp.ResponseStatus.TRY_LATER, str(error))
    if isinstance(answer, Refusal):
        log.info("ocsp_refused", authority=authority, status=answer.status.name, why=answer.text)
        return _ocsp_response(ocsp.refusal(answer.status))
    if request.method == "POST" or not answer.cacheable:
        return _ocsp_response(answer.encoded())
    unchanged = get_conditional_response(request, answer.etag)
    response = unchanged or _ocsp_response(answer.encoded())
    _allow_caching(response, answer.etag, answer.dates.this_update, answer.dates.next_update)
    return response


def _from_path(encoded: str) -> bytes:
    """Return the request in a path: clients escape it or not, once or twice, and lose the padding or gain slashes."""
    text = unquote(encoded).lstrip("/").replace(" ", "+")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""  # which is not a request either


def _ocsp_response(encoded: bytes) -> HttpResponse:
    response = HttpResponse(encoded, content_type="application/ocsp-response")
    response["Content-Length"] = str(len(encoded))
    response["Cache-Control"] = "no-store"
    return response


def issuer_certificate(request: HttpRequest, authority: str) -> HttpResponse:
    """Serve an authority's own certificate in DER (RFC 5280 4.2.2.1, id-ad-caIssuers)."""
    if request.method not in _READING:
        return _not_allowed(_READING)
    found = Authority.objects.own().select_related("certificate").filter(slug=authority).first()
    if found is None or found.certificate is None:
        return _not_found(_("There is no authority of this name."))
    return _bytes(bytes(found.certificate.der), "application/pkix-cert")


def trust_bundle(request: HttpRequest, name: str) -> HttpResponse:
    """Serve the certificates of an authority's chain, or of a fleet's authorities, in PEM."""
    if request.method not in _READING:
        return _not_allowed(_READING)
    certificates = bundle(name, timezone.now())
    if certificates is None:
        return _not_found(_("There is no authority and no fleet of this name."))
    pem = b"".join(certificate.x509.public_bytes(Encoding.PEM) for certificate in certificates)
    return _bytes(pem, "application/x-pem-file")


def healthz(_request: HttpRequest) -> HttpResponse:
    """Return 200: this process is alive."""
    return _text(200, "ok")


def not_found(_request: HttpRequest, exception: Exception) -> HttpResponse:
    return _not_found(_("Nothing is at this address."))


def failed(_request: HttpRequest) -> HttpResponse:
    return _text(500, _("The status service failed on this request; its log says why."))


def _allow_caching(response: HttpResponseBase, etag: str, last_modified: datetime, next_update: datetime) -> None:
    """Let caches keep what is fresh (RFC 5019 6.2), but for a minute: so soon a revocation is to be seen everywhere.

    A cache that kept an answer until nextUpdate would hide it. To ask again costs a 304 while nothing has changed.
    """
    fresh_for = min(next_update - timezone.now(), _CACHES_KEEP)
    response["ETag"] = etag
    response["Last-Modified"] = http_date(last_modified.timestamp())
    response["Expires"] = http_date(next_update.timestamp())
    seconds = max(int(fresh_for.total_seconds()), 0)
    response["Cache-Control"] = f"max-age={seconds}, public, no-transform, must-revalidate"


def _bytes(content: bytes, content_type: str) -> HttpResponse:
    return HttpResponse(content, content_type=content_type, headers={"Content-Length": str(len(content))})


def _text(status: int, line: str) -> HttpResponse:
    content = f"{line}\n".encode()
    response = _bytes(content, "text/plain; charset=utf-8")
    response.status_code = status
    return response


def _not_found(line: str) -> HttpResponse:
    return _text(404, line)


def _not_allowed(methods: tuple[str, ...]) -> HttpResponse:
    response = _text(405, _("Only %s is answered here.") % ", ".join(methods))
    response["Allow"] = ", ".join(methods)
    return response
