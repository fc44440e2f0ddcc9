"""EST (RFC 7030, RFC 8951): cacerts, simpleenroll, simplereenroll and csrattrs, one label a fleet.

These views parse, ask `enrolling`, and translate. What real clients demand of the answers is in docs/est.md.
"""

import base64
import hashlib
import hmac

import structlog
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from inventory.audit.record import Actor, current_request_id, without_zone
from inventory.models import Certificate
from inventory.models.audit import ActorKind
from inventory.sightings import find_usable, record_sighting
from inventory.x509.csr import CertificationRequest, MalformedRequest, parse
from renewal.models import EnrolmentProtocol
from renewal.protocols.client_identity import client_certificate, tls_unique
from renewal.protocols.directory import Served, directory
from renewal.protocols.est.messages import MalformedBody, basic_credentials, certs_only, csr_attributes, decode_base64
from renewal.refusals import Refusal, RefusalCode
from renewal.requests import Enrolment, Renewal
from renewal.together import Gathering

log = structlog.get_logger(__name__)
_GATHERING = Gathering(timezone.now)

# RFC 7030 4.1.3 names the type bare; libest refuses an enrolment answer without the parameter (RFC 5273 has it).
_CERTS_ONLY = "application/pkcs7-mime; smime-type=certs-only"
_STATUS = {
    RefusalCode.NO_CREDENTIAL: 401,
    RefusalCode.WRONG_SECRET: 401,
    RefusalCode.TOO_MANY_REFUSALS: 429,
    RefusalCode.ISSUER_TOO_OLD: 503,
    RefusalCode.ISSUER_UNAVAILABLE: 503,
    RefusalCode.PROFILE_UNUSABLE: 503,
}
_POLICY = 403


def _plain(status: int, line: str) -> HttpResponse:
    body = f"{line}\n".encode()
    return HttpResponse(
        body, status=status, content_type="text/plain; charset=utf-8", headers={"Content-Length": str(len(body))}
    )


def answer(outcome: Certificate | Refusal, request: HttpRequest) -> HttpResponse:
    """Translate the outcome of a request into EST's kind of answer."""
    if isinstance(outcome, Refusal):
        response = _plain(_STATUS.get(outcome.code, _POLICY), outcome.message)
        if response.status_code == 401:
            response["WWW-Authenticate"] = 'Basic realm="certportal EST", charset="UTF-8"'
        if response.status_code in (429, 503):
            response["Retry-After"] = str(outcome.retry_after or 3600)
        return response
    return _base64(certs_only([bytes(outcome.der)], one_line=_wants_one_line(request)), _CERTS_ONLY)


def _wants_one_line(request: HttpRequest) -> bool:
    return "User-Agent" not in request.headers


def _base64(body: bytes, content_type: str) -> HttpResponse:
    headers = {"Content-Transfer-Encoding": "base64", "Content-Length": str(len(body))}
    return HttpResponse(body, content_type=content_type, headers=headers)


def _method_not_allowed(allowed: str) -> HttpResponse:
    response = _plain(405, f"This operation takes {allowed}.")
    response["Allow"] = allowed
    return response


def _unknown_label(label: str | None) -> HttpResponse:
    if label is None:
        return _plain(404, "This portal serves several fleets; use /.well-known/est/LABEL/...")
    log.info("unknown EST label", label=label[:64])
    return _plain(404, f"There is no fleet with the label {label[:64]!r}.")


def _source_address(request: HttpRequest) -> str | None:
    return without_zone(request.META.get("REMOTE_ADDR"))


def _read_request(request: HttpRequest) -> CertificationRequest | HttpResponse:
    if (request.content_type or "").lower() != "application/pkcs10":
        return _plain(415, "The body must have the Content-Type application/pkcs10.")
    try:
        parsed = parse(decode_base64(request.body))
    except (MalformedBody, MalformedRequest) as error:
        log.info("certification request refused", reason=str(error), address=_source_address(request))
        return _plain(400, str(error))
    if not _is_of_session(parsed, request):
        line = "The request's challengePassword is not the tls-unique of this TLS session (RFC 7030 3.5)."
        log.info("certification request refused", reason=line, address=_source_address(request))
        return _plain(_POLICY, line)
    return parsed


def _is_of_session(parsed: CertificationRequest, request: HttpRequest) -> bool:
    """Return False when a device linked its request to another TLS session than the one it came by.

    RFC 7030 3.5: whoever holds a request without its key must not be able to send it on. A device need not link it, and
    where there is no tls-unique to compare with, its challengePassword is of no account.
    """
    binding = tls_unique(request.META)
    if parsed.challenge_password is None or binding is None:
        return True
    return hmac.compare_digest(parsed.challenge_password, base64.b64encode(binding))


def cacerts(request: HttpRequest, label: str | None = None) -> HttpResponse:
    """RFC 7030 4.1: the chain that a device needs to trust. A device that authenticates here shows that it lives."""
    found = _read_by_anybody(request, label)
    if isinstance(found, HttpResponse):
        return found
    return _base64(certs_only(found.certificates(), one_line=_wants_one_line(request)), _CERTS_ONLY)


def csrattrs(request: HttpRequest, label: str | None = None) -> HttpResponse:
    """RFC 7030 4.5.2: the key that the profile prefers. Names and extensions come from the profile, not the request."""
    found = _read_by_anybody(request, label)
    if isinstance(found, HttpResponse):
        return found
    return _base64(csr_attributes(found.key_types[0]), "application/csrattrs")


def _read_by_anybody(request: HttpRequest, label: str | None) -> Served | HttpResponse:
    """Return the fleet that is read of, or why there is nothing to read. Who authenticated was seen by that."""
    if request.method not in ("GET", "HEAD"):
        return _method_not_allowed("GET")
    found = directory.find(label, timezone.now())
    if found is None:
        return _unknown_label(label)
    _note_sighting(request)
    return found


@csrf_exempt
def simpleenroll(request: HttpRequest, label: str | None = None) -> HttpResponse:
    """RFC 7030 4.2.1: a first certificate for a one-time secret given by HTTP Basic.

    A device that has a certificate may ask here as well (RFC 7030 3.3.2): that is a renewal by the same rules, but for
    the names in the request, which only simplereenroll must repeat.
    """
    if request.method != "POST":
        return _method_not_allowed("POST")
    if "Authorization" not in request.headers and client_certificate(request.META):
        return _renew(request, label, repeats_names=False)
    found = directory.find(label, timezone.now())
    if found is None:
        return _unknown_label(label)
    certification_request = _read_request(request)
    if isinstance(certification_request, HttpResponse):
        return certification_request
    credentials = basic_credentials(request.headers.get("Authorization", ""))
    if credentials is None:
        return answer(_no_credential("a one-time secret by HTTP Basic: device serial number and secret"), request)
    serial, secret = credentials
    outcome = _GATHERING.outcome(
        Enrolment(
            serial,
            secret,
            certification_request,
            label=found.label,
            protocol=EnrolmentProtocol.EST,
            source_address=_source_address(request),
            request_id=current_request_id(),
        )
    )
    return answer(outcome, request)


@csrf_exempt
def simplereenroll(request: HttpRequest, label: str | None = None) -> HttpResponse:
    """RFC 7030 4.2.2: the next certificate of the device that authenticated in the TLS handshake."""
    if request.method != "POST":
        return _method_not_allowed("POST")
    return _renew(request, label, repeats_names=True)


def _renew(request: HttpRequest, label: str | None, *, repeats_names: bool) -> HttpResponse:
    certification_request = _read_request(request)
    if isinstance(certification_request, HttpResponse):
        return certification_request
    certificate = client_certificate(request.META)
    if certificate is None:
        return answer(_no_credential("the device's current certificate in the TLS handshake"), request)
    outcome = _GATHERING.outcome(
        Renewal(
            certificate,
            certification_request,
            label=label,
            repeats_names=repeats_names,
            source_address=_source_address(request),
            request_id=current_request_id(),
        )
    )
    # The gate knows the device's own label; only a request for another one asks whether there is such a fleet.
    if (
        isinstance(outcome, Refusal)
        and outcome.code == RefusalCode.OTHER_FLEET
        and directory.find(label, timezone.now()) is None
    ):
        return _unknown_label(label)
    return answer(outcome, request)


def _no_credential(needed: str) -> Refusal:
    return Refusal(RefusalCode.NO_CREDENTIAL, f"This operation needs {needed}.")


def _note_sighting(request: HttpRequest) -> None:
    der = client_certificate(request.META)
    certificate = find_usable(hashlib.sha256(der).digest(), now := timezone.now()) if der else None
    if certificate and certificate.device:
        actor = Actor(ActorKind.DEVICE, certificate.device.serial, _source_address(request))
        record_sighting(certificate, certificate.device, now=now, actor=actor)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _plain(
        404, "There is no such EST operation; this portal has cacerts, csrattrs, simpleenroll, simplereenroll."
    )


def failed(request: HttpRequest) -> HttpResponse:
    return _plain(500, "The portal failed to answer; try again later.")
