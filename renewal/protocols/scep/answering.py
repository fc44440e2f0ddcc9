"""From a SCEP message to its answer: opened, decided on by gate and door as every other request, and sealed again.

Who signs a message decides what it asks for, whatever type it says to be of: a certificate by its own key, for which a
challenge speaks, asks for a first certificate, one of ours for the next. So old clients renew by PKCSReq as well.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from inventory.models import Authority, Certificate, DeviceStatus
from inventory.x509 import csr
from inventory.x509.keys import spki_sha256
from renewal import registration_authorities
from renewal.models import EnrolmentProtocol
from renewal.protocols import cms
from renewal.protocols.directory import Served
from renewal.protocols.scep import messages
from renewal.protocols.scep.messages import FailInfo, MessageType, PkiMessage, Unacceptable, Voice
from renewal.refusals import Refusal, RefusalCode
from renewal.requests import Enrolment, Renewal, Request
from revocation import crl_files
from revocation.scopes import Scope

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Circumstances:
    """How a message came: for which fleet, when, from where. `outcome` has a request decided on and carried out."""

    fleet: Served
    now: datetime
    nonce: bytes
    """Of the answer; nobody can tell it before."""
    outcome: Callable[[Request], Certificate | Refusal]
    source_address: str | None = None
    request_id: str | None = None


class _Asked(NamedTuple):
    """A message that is proven and opened."""

    message: PkiMessage
    signer: x509.Certificate
    content: bytes
    at: Circumstances


def answer(encoded: bytes, at: Circumstances) -> bytes:
    """Return the answer to a message, be it a failure. Raises NotAMessage and NobodyAnswers: then there is none."""
    message = messages.parse(encoded)
    registrars = registration_authorities.load(at.fleet.chain[0].pk, at.now)
    voice = Voice(*registrars[0], at.nonce)
    try:
        if message.message_type not in _ANSWERED:
            text = "The message is of a type that is not answered here (RFC 8894 3.2.1.2)."
            raise Unacceptable(FailInfo.BAD_REQUEST, text)
        signer = messages.verify(message)
        sealed = messages.envelope(message.content)
        registrar = next((each for each in registrars if each.certificate.serial_number in sealed.serials), None)
        if registrar is None:
            text = "The message is sealed to another certificate than this portal's; ask for GetCACert again."
            raise Unacceptable(FailInfo.BAD_MESSAGE_CHECK, text)
        # The device knows the one that it sealed to, and perhaps no other.
        voice = Voice(*registrar, at.nonce)
        content = sealed.open(registrar.certificate.serial_number, registrar.key)
        # Each returns a SignedData that nobody signed.
        found = _ANSWERED[message.message_type](_Asked(message, signer, content, at))
        return messages.success(message, found, signer, sealed.cipher, voice)
    except Unacceptable as refused:
        # What the sender must not be told, the log may hold.
        log.info(
            "SCEP message refused",
            fail_info=refused.fail_info.name,
            why=str(refused.__cause__ or refused),
            address=at.source_address,
        )
        return messages.failure(message, refused.fail_info, str(refused), voice)


def _issued(asked: _Asked) -> bytes:
    try:
        request = csr.parse(asked.content)
    except csr.MalformedRequest as error:
        raise Unacceptable(FailInfo.BAD_MESSAGE_CHECK, messages.UNREADABLE) from error
    outcome = asked.at.outcome(_request(asked, request))
    if isinstance(outcome, Refusal):
        raise Unacceptable(_FAIL_INFO.get(outcome.code, FailInfo.BAD_REQUEST), outcome.message)
    return cms.certs_only([bytes(outcome.der)])


_FAIL_INFO = {
    RefusalCode.KEY_TYPE: FailInfo.BAD_ALG,
    RefusalCode.UNKNOWN_CERTIFICATE: FailInfo.BAD_MESSAGE_CHECK,
}


def _request(asked: _Asked, request: csr.CertificationRequest) -> Request:
    at = asked.at
    if not messages.is_self_signed(asked.signer):
        assert asked.message.signer is not None  # whose signature was verified
        return Renewal(
            asked.message.signer,
            request,
            label=at.fleet.label,
            source_address=at.source_address,
            request_id=at.request_id,
        )
    if request.spki_sha256 != spki_sha256(asked.signer.public_key()):
        text = "The request is for another key than that of the certificate which signs the message (RFC 8894 2.3)."
        raise Unacceptable(FailInfo.BAD_MESSAGE_CHECK, text)
    if request.challenge_password is None:
        text = "The request needs a one-time secret as its challengePassword, or a device's certificate as its signer."
        raise Unacceptable(FailInfo.BAD_REQUEST, text)
    return Enrolment(
        None,
        # No secret of ours has octets that are no text.
        request.challenge_password.decode(errors="replace"),
        request,
        label=at.fleet.label,
        protocol=EnrolmentProtocol.SCEP,
        source_address=at.source_address,
        request_id=at.request_id,
    )


def _issued_before(asked: _Asked) -> bytes:
    """Answer CertPoll (RFC 8894 3.3.3): who lost the answer to his request has the key that it was for."""
    messages.check_poll(asked.content)
    own = (
        Certificate.objects.valid(asked.at.now)
        .trusted()
        .filter(
            spki_sha256=spki_sha256(asked.signer.public_key()),
            device__fleet__slug=asked.at.fleet.label,
            device__status=DeviceStatus.IN_SERVICE,
        )
    )
    certificate = own.order_by("-issued_at", "-pk").first()
    if certificate is None:
        raise Unacceptable(FailInfo.BAD_CERT_ID, "No request for the key of the message's signer waits or was granted.")
    return cms.certs_only([bytes(certificate.der)])


def _named(asked: _Asked, *, of_sender: bool) -> Certificate:
    """Return the certificate that the content names, `of_sender` only to who has its key or is the same device."""
    name = messages.certificate_name(asked.content)
    authorities = Authority.objects.own().filter(certificate__isnull=False).select_related("certificate")
    issuer = next((each for each in authorities if each.x509.subject == name.issuer), None)
    found = Certificate.objects.filter(authority=issuer, serial=f"{name.serial:x}").first() if issuer else None
    if found is None or (of_sender and not _is_senders(asked, found)):
        text = "There is no certificate of this issuer and serial number" + (" of the sender's." if of_sender else ".")
        raise Unacceptable(FailInfo.BAD_CERT_ID, text)
    return found


def _is_senders(asked: _Asked, certificate: Certificate) -> bool:
    if spki_sha256(asked.signer.public_key()) == bytes(certificate.spki_sha256):
        return True
    sender = Certificate.objects.valid(asked.at.now).filter(sha256=asked.signer.fingerprint(hashes.SHA256()))
    return certificate.device_id is not None and sender.filter(device=certificate.device_id).exists()


def _crl(certificate: Certificate) -> bytes:
    scope = Scope(certificate.authority.slug, certificate.crl_shard)
    try:
        return crl_files.path(scope).read_bytes()
    except FileNotFoundError as error:
        raise Unacceptable(FailInfo.BAD_CERT_ID, "The CRL of this certificate was not published yet.") from error


def _certificate(asked: _Asked) -> bytes:
    return cms.certs_only([bytes(_named(asked, of_sender=True).der)])


def _revocation_list(asked: _Asked) -> bytes:
    return cms.certs_only([], crls=[_crl(_named(asked, of_sender=False))])


_ANSWERED: Mapping[str, Callable[[_Asked], bytes]] = {
    MessageType.PKCS_REQ: _issued,
    MessageType.RENEWAL_REQ: _issued,
    MessageType.CERT_POLL: _issued_before,
    MessageType.GET_CERT: _certificate,
    MessageType.GET_CRL: _revocation_list,
}
