"""The responder: rows become answers, at once and in one query."""

import hashlib
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as reference
from cryptography.x509.oid import ExtendedKeyUsageOID

from inventory.audit.record import SYSTEM
from inventory.models import Authority, Certificate, RevocationReason
from revocation import ocsp, signers
from revocation.models import OcspSigner
from revocation.orders import Order, revoke
from revocation.responder import Answer, Refusal, Responders, UnknownAuthority
from revocation.signers import SignerUnavailable
from tests import factories
from tests.factories import DAY, NOW
from tests.revocation.issuers import own_certificate
from tests.revocation.test_ocsp import merged

GOOD, REVOKED, UNKNOWN = (
    reference.OCSPCertStatus.GOOD,
    reference.OCSPCertStatus.REVOKED,
    reference.OCSPCertStatus.UNKNOWN,
)
NEVER_ISSUED = 2**158 + 1


def asking(serial: int, authority: Authority) -> bytes:
    """Return a request for `serial`, which need not exist."""
    issuer = authority.x509
    builder = reference.OCSPRequestBuilder().add_certificate_by_hash(
        hashlib.sha1(issuer.subject.public_bytes(), usedforsecurity=False).digest(),
        # RFC 5280 4.2.1.2 (1) makes the key identifier as RFC 6960 4.1.1 makes the key hash.
        x509.SubjectKeyIdentifier.from_public_key(issuer.public_key()).digest,
        serial,
        hashes.SHA1(),  # noqa: S303  (RFC 5019 2.1.1)
    )
    return builder.build().public_bytes(Encoding.DER)


def asking_for(certificate: Certificate, algorithm: type[hashes.HashAlgorithm] = hashes.SHA1) -> bytes:
    builder = reference.OCSPRequestBuilder().add_certificate(certificate.x509, certificate.authority.x509, algorithm())
    return builder.build().public_bytes(Encoding.DER)


@pytest.fixture
def responders(db):
    for authority in (factories.authority(), factories.root()):
        signers.renew_if_due(authority, NOW)
    return Responders()


BACKDATE = timedelta(hours=1)


def answer(responders: Responders, encoded: bytes, slug: str = "mfg-1", now=NOW) -> list[reference.OCSPSingleResponse]:
    answered = responders.of(slug, now).answer(ocsp.parse(encoded), now)
    assert isinstance(answered, Answer)
    return list(reference.load_der_ocsp_response(answered.encoded()).responses)


def test_an_issued_certificate_is_good_under_both_hashes_in_one_query(responders, meter, django_assert_num_queries):
    responders.of("mfg-1", NOW)
    for algorithm in (hashes.SHA1, hashes.SHA256):
        asked = asking_for(meter.certificate, algorithm)
        with django_assert_num_queries(1):
            (single,) = answer(responders, asked)
        assert single.certificate_status == GOOD
        assert single.serial_number == int(meter.certificate.serial, 16)
        assert (single.this_update_utc, single.next_update_utc) == (NOW - BACKDATE, NOW + timedelta(hours=12))


def test_a_revocation_is_answered_at_once_with_its_date_and_reason(responders, meter):
    assert answer(responders, asking_for(meter.certificate))[0].certificate_status == GOOD
    revoke(meter.certificate, Order(RevocationReason.KEY_COMPROMISE, SYSTEM), NOW)
    (single,) = answer(responders, asking_for(meter.certificate))
    assert single.certificate_status == REVOKED
    assert single.revocation_time_utc == NOW - BACKDATE
    assert single.revocation_reason == x509.ReasonFlags.key_compromise


@pytest.mark.parametrize("serial", [NEVER_ISSUED, 1, 2**400, -5, 0])
def test_a_serial_number_never_issued_is_never_good(responders, serial):
    answered = responders.of("mfg-1", NOW).answer(
        ocsp.Request(tuple(_with_serial(asked, serial) for asked in _ids(asking(7, factories.authority()))), None), NOW
    )
    assert reference.load_der_ocsp_response(answered.encoded()).certificate_status == UNKNOWN
    assert not answered.cacheable


def _ids(encoded: bytes) -> tuple[ocsp.CertificateId, ...]:
    return ocsp.parse(encoded).certificate_ids


def _with_serial(asked: ocsp.CertificateId, serial: int) -> ocsp.CertificateId:
    return ocsp.CertificateId(asked.encoded, asked.algorithm, asked.issuer_name_hash, asked.issuer_key_hash, serial)


def test_a_serial_of_another_authority_is_unknown_here(responders, meter):
    issuing = own_certificate("mfg-1")
    (single,) = answer(responders, asking(int(issuing.serial, 16), factories.authority()))
    assert single.certificate_status == UNKNOWN
    (single,) = answer(responders, asking_for(issuing), "root")
    assert single.certificate_status == GOOD


def test_a_foreign_issuer_is_unauthorized(responders, meter, django_assert_num_queries):
    responder, asked = responders.of("root", NOW), ocsp.parse(asking_for(meter.certificate))
    with django_assert_num_queries(0):
        refused = responder.answer(asked, NOW)
    assert isinstance(refused, Refusal)
    assert refused.status == ocsp.ResponseStatus.UNAUTHORIZED


def test_several_certificates_are_answered_in_one_query_and_in_their_order(responders, django_assert_num_queries):
    certificates = [factories.enrolled().certificate for _ in range(5)]
    revoke(certificates[1], Order(RevocationReason.UNSPECIFIED, SYSTEM), NOW)
    asked = [asking_for(certificate) for certificate in certificates]
    asked.insert(3, asking(NEVER_ISSUED, factories.authority()))
    asked.append(asking_for(own_certificate("mfg-1")))  # of the root, for which another address answers
    responders.of("mfg-1", NOW)
    with django_assert_num_queries(1):
        singles = answer(responders, merged(*asked))
    assert [single.certificate_status for single in singles] == [GOOD, REVOKED, GOOD, UNKNOWN, GOOD, GOOD, UNKNOWN]
    assert singles[1].revocation_reason is None


@pytest.mark.parametrize(
    ("reason", "inherited"),
    [
        (RevocationReason.KEY_COMPROMISE, x509.ReasonFlags.ca_compromise),
        (RevocationReason.CA_COMPROMISE, x509.ReasonFlags.ca_compromise),
        (RevocationReason.CESSATION_OF_OPERATION, x509.ReasonFlags.cessation_of_operation),
    ],
)
def test_below_a_revoked_issuer_everything_issued_is_revoked(responders, meter, reason, inherited):
    authority = factories.authority()
    revoke(own_certificate("mfg-1"), Order(reason, SYSTEM), NOW)

    issued, unknown = answer(
        responders, merged(asking_for(meter.certificate), asking(NEVER_ISSUED, authority)), now=NOW + DAY
    )

    assert (issued.certificate_status, issued.revocation_time_utc) == (REVOKED, NOW)
    assert issued.revocation_reason == inherited
    assert unknown.certificate_status == UNKNOWN
    (own,) = answer(responders, asking_for(own_certificate("mfg-1")), "root")
    assert own.certificate_status == REVOKED


def test_its_own_revocation_goes_before_its_issuers(responders, meter):
    revoke(meter.certificate, Order(RevocationReason.SUPERSEDED, SYSTEM), NOW - DAY)
    revoke(own_certificate("mfg-1"), Order(RevocationReason.CA_COMPROMISE, SYSTEM), NOW)
    (single,) = answer(responders, asking_for(meter.certificate))
    assert (single.revocation_time_utc, single.revocation_reason) == (NOW - DAY, x509.ReasonFlags.superseded)


def test_the_delegated_signer_comes_with_the_answer(responders, meter):
    answered = responders.of("mfg-1", NOW).answer(ocsp.parse(asking_for(meter.certificate)), NOW)
    response = reference.load_der_ocsp_response(answered.encoded())
    (signer,) = response.certificates
    signer.verify_directly_issued_by(factories.authority().x509)
    usages = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.OCSP_SIGNING]
    assert signer.extensions.get_extension_for_class(x509.OCSPNoCheck)
    # RFC 6960 4.2.1: KeyHash, which is how the key identifier of our certificates is made too.
    identifier = signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert response.responder_key_hash == identifier.digest


class TestSigners:
    def test_a_signer_is_renewed_in_the_second_half_of_its_life_with_a_new_key(self, responders):
        authority = factories.authority()
        assert signers.renew_if_due(authority, NOW + 7 * DAY - timedelta(seconds=1)) is None
        renewed = signers.renew_if_due(authority, NOW + 7 * DAY)
        assert renewed
        first = OcspSigner.objects.filter(authority=authority).order_by("pk")[0]
        assert renewed.key_name != first.key_name
        assert renewed.certificate.spki_sha256 != bytes(first.certificate.spki_sha256)
        assert signers.load(authority.pk, NOW + 8 * DAY).certificate == renewed.certificate.x509

    def test_a_revoked_signer_is_replaced(self, responders):
        authority = factories.authority()
        signer = OcspSigner.objects.get(authority=authority)
        revoke(signer.certificate, Order(RevocationReason.KEY_COMPROMISE, SYSTEM), NOW)
        with pytest.raises(SignerUnavailable):
            signers.load(authority.pk, NOW)
        assert signers.renew_if_due(authority, NOW)

    def test_a_signer_that_ends_with_its_authority_is_not_renewed_again_and_again(self, responders):
        authority = factories.authority()
        end = authority.x509.not_valid_after_utc
        last = signers.renew_if_due(authority, end - 3 * DAY)
        assert last
        assert last.certificate.not_after == end
        assert signers.renew_if_due(authority, end - 2 * DAY) is None

    def test_an_answer_never_outlives_its_signer(self, responders, meter):
        late = NOW + 14 * DAY - timedelta(hours=1)
        (single,) = answer(responders, asking_for(meter.certificate), now=late)
        assert single.next_update_utc == NOW + 14 * DAY

    def test_a_process_takes_up_the_new_signer_within_a_minute(self, responders, django_assert_num_queries):
        before = responders.of("mfg-1", NOW + 8 * DAY).signer
        signers.renew_if_due(factories.authority(), NOW + 8 * DAY)
        with django_assert_num_queries(0):
            assert responders.of("mfg-1", NOW + 8 * DAY + timedelta(seconds=59)).signer is before
        assert responders.of("mfg-1", NOW + 8 * DAY + timedelta(seconds=60)).signer is not before

    def test_dates_stay_the_same_within_the_hour_and_are_never_of_the_future_of_a_slow_clock(self, responders, meter):
        asked = asking_for(meter.certificate)
        dates = {
            (single.this_update_utc, single.next_update_utc)
            for minutes in (0, 1, 59)
            for single in answer(responders, asked, now=NOW + timedelta(minutes=minutes))
        }
        assert dates == {(NOW - BACKDATE, NOW + timedelta(hours=12))}
        (later,) = answer(responders, asked, now=NOW + timedelta(minutes=60))
        assert later.this_update_utc == NOW

    def test_a_revocation_is_not_dated_after_this_update(self, responders, meter):
        revoke(meter.certificate, Order(RevocationReason.KEY_COMPROMISE, SYSTEM), NOW)
        (at_once,) = answer(responders, asking_for(meter.certificate), now=NOW)
        assert at_once.revocation_time_utc == at_once.this_update_utc == NOW - BACKDATE
        (later,) = answer(responders, asking_for(meter.certificate), now=NOW + 2 * BACKDATE)
        assert later.revocation_time_utc == NOW

    def test_without_a_signer_there_is_no_answer(self, db):
        factories.authority()
        with pytest.raises(SignerUnavailable, match="no valid OCSP signer"):
            Responders().of("mfg-1", NOW)

    def test_without_the_key_there_is_no_answer(self, responders):
        OcspSigner.objects.filter(authority__slug="mfg-1").update(key_name="away-with-the-hsm")
        with pytest.raises(SignerUnavailable, match="away-with-the-hsm"):
            responders.of("mfg-1", NOW)


def test_an_unknown_authority_has_no_responder(responders):
    with pytest.raises(UnknownAuthority):
        responders.of("nobody", NOW)
