"""SCEP over HTTP (RFC 8894 4): GetCACaps, GetCACert and PKIOperation, one label a fleet.

A refusal is a SCEP message with status 200, for clients read nothing else; what is no message at all is answered by a
line of text.
"""

import base64
import binascii
import secrets

import structlog
from cryptography.hazmat.primitives.serialization import Encoding
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from inventory.audit.record import current_request_id, without_zone
from renewal import registration_authorities
from renewal.protocols import cms
from renewal.protocols.directory import Served, directory
from renewal.protocols.scep.answering import Circumstances, answer
from renewal.protocols.scep.messages import NotAMessage
from renewal.registration_authorities import NobodyAnswers
from renewal.together import Gathering

log = structlog.get_logger(__name__)
_GATHERING = Gathering(timezone.now)

# strongSwan 5.9.8 takes AES only from who lists SHA-384 too.
CAPABILITIES = ("AES", "POSTPKIOperation", "Renewal", "SCEPStandard", "SHA-256", "SHA-384", "SHA-512")
_NONCE_OCTETS = 16
_RETRY_SECONDS = 60


@csrf_exempt
def scep(request: HttpRequest, label: str | None = None) -> HttpResponse:
    """Answer the operation that the query names. Its `message` is base64 in PKIOperation, and of no account else."""
    if request.method not in ("GET", "HEAD", "POST"):
        return _not_allowed("GET, HEAD, POST")
    fleet = directory.find(label, timezone.now())
    if fleet is None:
        log.info("unknown SCEP label", label=(label or "")[:64])
        return _text(404, "There is no fleet with this label; use /scep/LABEL.")
    match request.GET.get("operation"):
        case "PKIOperation":
            return _pki_operation(request, fleet)
        case _ if request.method == "POST":
            return _not_allowed("GET, HEAD")
        case "GetCACaps":
            return _text(200, "\n".join(CAPABILITIES))
        case "GetCACert":
            return _authority_certificates(fleet)
        case "GetNextCACert":
            return _text(404, "The authority of this fleet has no successor yet.")
    return _text(400, "The operation must be GetCACaps, GetCACert or PKIOperation (RFC 8894 4).")


def _authority_certificates(fleet: Served) -> HttpResponse:
    try:
        latest = registration_authorities.load(fleet.chain[0].pk, timezone.now())[0]
    except NobodyAnswers as error:
        return _later(error)
    own = latest.certificate.public_bytes(Encoding.DER)
    return _bytes(cms.certs_only([own, *fleet.certificates()]), "application/x-x509-ca-ra-cert")


def _pki_operation(request: HttpRequest, fleet: Served) -> HttpResponse:
    at = Circumstances(
        fleet,
        timezone.now(),
        secrets.token_bytes(_NONCE_OCTETS),
        _GATHERING.outcome,
        source_address=without_zone(request.META.get("REMOTE_ADDR")),
        request_id=current_request_id(),
    )
    try:
        encoded = request.body if request.method == "POST" else _from_query(request.GET.get("message", ""))
        return _bytes(answer(encoded, at), "application/x-pki-message")
    except NotAMessage as error:
        log.info("SCEP message refused", reason=str(error), address=at.source_address)
        return _text(400, str(error))
    except NobodyAnswers as error:
        return _later(error)


def _from_query(text: str) -> bytes:
    try:
        # Not every client escapes the plus sign, which then stands for a blank.
        return base64.b64decode(text.replace(" ", "+"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotAMessage("The message in the query is not base64.") from error


def _bytes(content: bytes, content_type: str) -> HttpResponse:
    return HttpResponse(content, content_type=content_type, headers={"Content-Length": str(len(content))})


def _text(status: int, line: str) -> HttpResponse:
    response = _bytes(f"{line}\n".encode(), "text/plain; charset=utf-8")
    response.status_code = status
    return response


def _later(why: NobodyAnswers) -> HttpResponse:
    # Where our keys are is for our log alone.
    log.error("SCEP is not served", why=str(why.__cause__ or why))
    response = _text(503, str(why))
    response["Retry-After"] = str(_RETRY_SECONDS)
    return response


def _not_allowed(allowed: str) -> HttpResponse:
    response = _text(405, f"This operation takes {allowed}.")
    response["Allow"] = allowed
    return response
