"""SCEP as devices meet it, from message to row."""

import base64
import threading
from datetime import timedelta
from urllib.parse import quote

import pytest
from asn1crypto import cms as syntax
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from django.db import connection
from django.test import Client
from django.utils import timezone

from inventory.audit.record import SYSTEM
from inventory.issuing.certificates import Admission, issue
from inventory.models import AuditAction, AuditEvent, Certificate, CertificateState, Device, DeviceStatus
from inventory.models.joined import join
from inventory.x509.csr import parse
from inventory.x509.keys import KeyType
from renewal import registration_authorities, secrets
from renewal.models import EnrolmentProtocol, EnrolmentSecret
from renewal.protocols.directory import directory
from renewal.protocols.scep import messages
from revocation import publishing
from tests.factories import DAY, authority, common_name, device, fleet, profile
from tests.renewal.protocols.scep.device import (
    MESSAGE_TYPE,
    SENDER_NONCE,
    TRANSACTION_ID,
    Answer,
    Sender,
    request_for,
    rsa_key,
    self_signed,
)

pytestmark = [pytest.mark.django_db, pytest.mark.urls("certportal.urls.status")]
URL = "/scep/demo"
MESSAGE = "application/x-pki-message"


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def registrar(db, now) -> x509.Certificate:
    """The certificate of the registration authority of a fleet that takes RSA keys."""
    fleet(profile=profile(key_types=[KeyType.EC_P256, KeyType.RSA_2048]))
    made = registration_authorities.renew_if_due(authority(), now)
    assert made
    return made.certificate.x509


def issued() -> int:
    return Certificate.objects.filter(device__isnull=False).count()


def challenge_of(device_: Device, now) -> str:
    return secrets.create(device_, EnrolmentProtocol.SCEP, now=now, actor=SYSTEM)


def post(message: bytes, url: str = URL):
    return Client().post(f"{url}?operation=PKIOperation", message, content_type=MESSAGE)


def asked(sender: Sender, message: bytes, registrar: x509.Certificate) -> Answer:
    response = post(message)
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == MESSAGE
    return sender.read(response.content, registrar)


def newcomer(number: int = 0, name: str = "anything") -> Sender:
    return Sender(self_signed(rsa_key(number), common_name(name)), rsa_key(number))


def enrolment(sender: Sender, challenge: str | None, registrar: x509.Certificate, **how) -> bytes:
    request = request_for(sender.key, sender.certificate.subject, challenge)
    return sender.message(request, registrar, **how)


def enrolled(device_: Device, now, *, number: int = 1, expires_in: timedelta = 30 * DAY) -> tuple[Sender, Certificate]:
    """Return a device with an RSA certificate that ends `expires_in` after `now`."""
    fleet_ = device_.fleet
    request = parse(request_for(rsa_key(number), common_name(device_.serial)))
    began = now + expires_in - fleet_.profile.validity
    certificate = issue(Admission(device_, fleet_.profile, fleet_.authority, request, SYSTEM), began)
    join(certificate, device=device_)
    return Sender(certificate.x509, rsa_key(number)), certificate


class TestWhatEverybodyMayKnow:
    def test_capabilities_are_a_line_each(self, client, registrar):
        response = client.get(URL, {"operation": "GetCACaps"})
        assert response["Content-Type"].startswith("text/plain")
        assert response.content.decode().split() == [
            *("AES", "POSTPKIOperation", "Renewal", "SCEPStandard", "SHA-256", "SHA-384", "SHA-512")
        ]

    def test_the_registration_authority_comes_with_the_chain_to_the_root(self, client, registrar):
        response = client.get(URL, {"operation": "GetCACert", "message": "whatever"})
        assert response["Content-Type"] == "application/x-x509-ca-ra-cert"
        issuing = authority()
        found = pkcs7.load_der_pkcs7_certificates(response.content)
        assert set(found) == {registrar, issuing.x509, issuing.parent.x509} and len(found) == 3

    def test_the_registration_authority_signs_and_deciphers_for_an_ec_authority(self, registrar):
        registrar.verify_directly_issued_by(authority().x509)
        usage = registrar.extensions.get_extension_for_class(x509.KeyUsage).value
        assert (usage.digital_signature, usage.key_encipherment, usage.key_cert_sign) == (True, True, False)
        assert isinstance(authority().x509.public_key(), ec.EllipticCurvePublicKey)

    def test_nothing_is_offered_before_there_is_a_registration_authority(self, client):
        fleet()
        response = client.get(URL, {"operation": "GetCACert"})
        assert (response.status_code, response["Retry-After"]) == (503, "60")

    @pytest.mark.parametrize("url", ["/scep/demo/", "/scep/demo/pkiclient.exe", "/scep"])
    def test_addresses_that_clients_make_of_it_lead_here(self, client, registrar, url):
        assert client.get(url, {"operation": "GetCACaps"}).status_code == 200

    def test_what_is_not_asked_well_is_told_in_a_line(self, client, registrar):
        for response, status, text in (
            (client.get("/scep/nowhere", {"operation": "GetCACaps"}), 404, "There is no fleet with this label"),
            (client.get(URL), 400, "The operation must be"),
            (client.get(URL, {"operation": "GetNextCACert"}), 404, "no successor"),
            (client.post(f"{URL}?operation=GetCACaps"), 405, "takes GET, HEAD"),
            (client.put(URL), 405, "takes GET, HEAD, POST"),
            (client.get(URL, {"operation": "PKIOperation", "message": "***"}), 400, "not base64"),
            (client.get(URL, {"operation": "PKIOperation"}), 400, "not a SCEP message"),
            (post(b"\x30\x80" * 5000), 400, "not a SCEP message"),
        ):
            assert response.status_code == status, response.content
            assert text in response.content.decode()


class TestEnrolling:
    def test_a_challenge_gives_one_certificate_and_is_spent_by_it(self, registrar, now):
        new, sender = device(), newcomer()
        challenge = challenge_of(new, now)
        answer = asked(sender, enrolment(sender, challenge, registrar), registrar)
        assert (answer.status, answer.transaction_id) == ("0", "transaction-1")
        [certificate] = Certificate.objects.filter(device=new)
        assert answer.certificate.public_bytes(Encoding.DER) == bytes(certificate.der)
        assert answer.certificate.subject == common_name(new.serial)
        assert answer.certificate.public_key() == sender.key.public_key()
        secret = EnrolmentSecret.objects.get(device=new)
        assert secret.certificate == certificate
        event = AuditEvent.objects.get(action=AuditAction.CERTIFICATE_ENROLLED)
        assert (event.device, event.actor) == (new, new.serial)

    def test_the_same_request_is_answered_by_the_same_certificate_and_another_key_by_none(self, registrar, now):
        new, sender, other = device(), newcomer(), newcomer(2)
        challenge = challenge_of(new, now)
        first = asked(sender, enrolment(sender, challenge, registrar), registrar)
        again = asked(sender, enrolment(sender, challenge, registrar), registrar)
        assert again.certificate == first.certificate
        refused = asked(other, enrolment(other, challenge, registrar), registrar)
        assert (refused.status, refused.fail_info) == ("2", "2")
        assert "wrong, spent or expired" in refused.text
        assert Certificate.objects.filter(device=new).count() == 1

    @pytest.mark.parametrize("challenge", ["wrong", "", "\N{GRINNING FACE}", None])
    def test_nothing_is_given_for_no_challenge_or_a_wrong_one(self, registrar, now, challenge):
        sender = newcomer()
        challenge_of(device(), now)
        answer = asked(sender, enrolment(sender, challenge, registrar), registrar)
        assert (answer.status, answer.fail_info) == ("2", "2")
        assert not issued()

    def test_a_challenge_is_for_its_protocol_its_fleet_and_its_device(self, registrar, now):
        sender = newcomer()
        of_est = secrets.create(device(), EnrolmentProtocol.EST, now=now, actor=SYSTEM)
        elsewhere = challenge_of(device(fleet=fleet("other")), now)
        for challenge in (of_est, elsewhere):
            assert asked(sender, enrolment(sender, challenge, registrar), registrar).status == "2"
        victim, new = device("VICTIM"), device()
        impostor = newcomer(name=victim.serial)
        answer = asked(impostor, enrolment(impostor, challenge_of(new, now), registrar), registrar)
        assert "names another device" in answer.text
        assert not issued()

    def test_the_message_must_be_signed_by_the_key_that_is_asked_for(self, registrar, now):
        sender = newcomer()
        stolen = request_for(rsa_key(2), common_name("anything"), challenge_of(device(), now))
        answer = asked(sender, sender.message(stolen, registrar), registrar)
        assert (answer.status, answer.fail_info) == ("2", "1")
        assert not issued()

    def test_a_key_that_the_profile_does_not_allow_is_a_bad_algorithm_and_keeps_the_challenge(self, registrar, now):
        profile(key_types=[KeyType.EC_P256])
        new, sender = device(), newcomer()
        answer = asked(sender, enrolment(sender, challenge_of(new, now), registrar), registrar)
        assert (answer.status, answer.fail_info) == ("2", "0")
        assert "allows ec-p256" in answer.text
        assert EnrolmentSecret.objects.get(device=new).spent_at is None

    @pytest.mark.parametrize(("cipher", "name"), [(algorithms.AES128, "aes128_cbc"), (algorithms.AES256, "aes256_cbc")])
    @pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
    def test_the_answer_is_in_the_cipher_and_the_hash_of_the_request(self, registrar, now, cipher, name, hash_name):
        sender = newcomer()
        message = enrolment(sender, challenge_of(device(), now), registrar, cipher=cipher, hash_name=hash_name)
        answer = asked(sender, message, registrar)
        assert (answer.status, answer.cipher, answer.hash_name) == ("0", name, hash_name)

    def test_a_signature_may_name_its_hash_as_well(self, registrar, now):
        sender = newcomer()
        message = enrolment(sender, challenge_of(device(), now), registrar, scheme="sha256_rsa")
        assert asked(sender, message, registrar).status == "0"

    def test_a_message_may_come_in_the_address_with_its_plus_signs_as_they_are(self, client, registrar, now):
        sender = newcomer()
        encoded = base64.b64encode(enrolment(sender, challenge_of(device(), now), registrar)).decode()
        for text in (quote(encoded, safe=""), quote(encoded, safe="+/=")):
            assert len(text) < 8000  # a request line that gunicorn takes
            response = client.get(f"{URL}?operation=PKIOperation&message={text}")
            assert sender.read(response.content, registrar).status == "0"

    def test_a_message_to_the_registration_authority_of_yesterday_is_answered_by_it(self, registrar, now):
        later = now + registration_authorities.VALIDITY - registration_authorities.RENEWED_BEFORE_END
        newer = registration_authorities.renew_if_due(authority(), later)
        assert newer and newer.certificate.x509 != registrar
        assert registration_authorities.renew_if_due(authority(), later) is None
        both = [each.certificate for each in registration_authorities.load(authority().pk, later + DAY)]
        assert both == [newer.certificate.x509, registrar]
        sender = newcomer()
        assert asked(sender, enrolment(sender, challenge_of(device(), now), registrar), registrar).status == "0"


class TestRenewing:
    @pytest.mark.parametrize("message_type", ["17", "19"])
    def test_who_signs_with_a_certificate_of_ours_renews_it_whatever_the_type(self, registrar, now, message_type):
        sender, old = enrolled(device(), now)
        request = request_for(rsa_key(2), old.x509.subject)
        answer = asked(sender, sender.message(request, registrar, message_type=message_type), registrar)
        assert answer.status == "0", answer.text
        assert answer.certificate.public_key() == rsa_key(2).public_key()
        new = Certificate.objects.get(predecessor=old)
        assert bytes(new.der) == answer.certificate.public_bytes(Encoding.DER)
        old.refresh_from_db()
        # By this the device has used the old one; the new one waits for its own first use.
        assert (old.state, new.state) == (CertificateState.CONFIRMED, CertificateState.ISSUED)

    def test_the_old_certificate_is_good_until_the_new_one_was_used(self, registrar, now):
        sender, old = enrolled(device(), now)
        request = request_for(rsa_key(2), old.x509.subject)
        first = asked(sender, sender.message(request, registrar, message_type="17"), registrar)
        # The answer was lost; the device asks again.
        again = asked(sender, sender.message(request, registrar, message_type="17"), registrar)
        assert again.certificate == first.certificate
        assert Certificate.objects.filter(predecessor=old).count() == 1

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ("another name", "another subject"),
            ("too early", "Renewal opens on"),
            ("expired", "expired on"),
            ("out of service", "suspended"),
        ],
    )
    def test_what_the_gate_refuses_is_a_failure_with_its_reason(self, registrar, now, change, reason):
        meter = device()
        spans = {"too early": 200 * DAY, "expired": -DAY}
        sender, old = enrolled(meter, now, expires_in=spans.get(change, 30 * DAY))
        if change == "out of service":
            Device.objects.filter(pk=meter.pk).update(status=DeviceStatus.SUSPENDED)
        subject = common_name("D-OTHER") if change == "another name" else old.x509.subject
        message = sender.message(request_for(rsa_key(2), subject), registrar, message_type="17")
        answer = asked(sender, message, registrar)
        assert (answer.status, answer.fail_info) == ("2", "2")
        assert reason in answer.text
        assert not Certificate.objects.filter(predecessor=old).exists()

    def test_a_look_alike_of_a_certificate_is_a_stranger(self, registrar, now):
        _sender, old = enrolled(device(), now)
        # The victim's names and serial number, by another issuer's key.
        forged = (
            x509.CertificateBuilder()
            .subject_name(old.x509.subject)
            .issuer_name(old.x509.issuer)
            .serial_number(old.x509.serial_number)
            .public_key(rsa_key(3).public_key())
            .not_valid_before(old.not_before)
            .not_valid_after(old.not_after)
            .sign(rsa_key(3), old.x509.signature_hash_algorithm)
        )
        sender = Sender(forged, rsa_key(3))
        message = sender.message(request_for(rsa_key(3), old.x509.subject), registrar, message_type="17")
        answer = asked(sender, message, registrar)
        assert (answer.status, answer.fail_info) == ("2", "1")
        assert not Certificate.objects.filter(predecessor=old).exists()


class TestOtherMessages:
    @pytest.mark.parametrize("message_type", ["0", "3", "18", "23", "", "x", "19 "])
    def test_no_other_type_is_answered(self, registrar, now, message_type):
        sender = newcomer()
        message = enrolment(sender, challenge_of(device(), now), registrar, message_type=message_type)
        answer = asked(sender, message, registrar)
        assert (answer.status, answer.fail_info) == ("2", "2")
        assert not issued()

    def test_who_lost_the_answer_polls_for_his_certificate(self, registrar, now):
        sender, stranger = newcomer(), newcomer(2)
        first = asked(sender, enrolment(sender, challenge_of(device(), now), registrar), registrar)
        names = issuer_and_subject(authority().x509.subject, sender.certificate.subject)
        polled = asked(sender, sender.message(names, registrar, message_type="20"), registrar)
        assert polled.certificate == first.certificate
        refused = asked(stranger, stranger.message(names, registrar, message_type="20"), registrar)
        assert (refused.status, refused.fail_info) == ("2", "4")

    def test_nothing_is_polled_for_that_was_revoked_or_whose_device_is_suspended(self, registrar, now):
        new, sender = device(), newcomer()
        asked(sender, enrolment(sender, challenge_of(new, now), registrar), registrar)
        names = issuer_and_subject(authority().x509.subject, sender.certificate.subject)
        poll = sender.message(names, registrar, message_type="20")
        Device.objects.filter(pk=new.pk).update(status=DeviceStatus.SUSPENDED)
        assert asked(sender, poll, registrar).fail_info == "4"
        Device.objects.filter(pk=new.pk).update(status=DeviceStatus.IN_SERVICE)
        assert asked(sender, poll, registrar).status == "0"
        reason = {"state": CertificateState.REVOKED, "revocation_reason": "superseded", "revoked_at": now}
        Certificate.objects.filter(device=new).update(**reason)
        assert asked(sender, poll, registrar).fail_info == "4"

    def test_a_certificate_is_given_to_who_has_its_key_and_to_its_device_alone(self, registrar, now):
        meter = device()
        sender, certificate = enrolled(meter, now)
        other, _of_other = enrolled(device(), now, number=2)
        by_key = newcomer(1)
        message = certificate_name(certificate.x509)
        for who in (sender, by_key):
            answer = asked(who, who.message(message, registrar, message_type="21"), registrar)
            assert answer.certificate == certificate.x509
        refused = asked(other, other.message(message, registrar, message_type="21"), registrar)
        assert (refused.status, refused.fail_info) == ("2", "4")

    def test_the_crl_of_a_certificate_is_given_to_anybody(self, registrar, now):
        _sender, certificate = enrolled(device(), now)
        publishing.publish(authority(), certificate.crl_shard, now)
        stranger = newcomer(2)
        message = stranger.message(certificate_name(certificate.x509), registrar, message_type="22")
        answer = asked(stranger, message, registrar)
        assert answer.content
        [crl] = crls(answer.content)
        assert crl.is_signature_valid(authority().x509.public_key())

    @pytest.mark.parametrize("message_type", ["17", "19", "20", "21", "22"])
    def test_who_sends_a_captured_content_again_learns_nothing_of_it(self, registrar, now, message_type):
        victim, thief = newcomer(), newcomer(2)
        captured = sealed_part(enrolment(victim, challenge_of(device(), now), registrar))
        answers = set()
        contents = [thief.message(each, registrar, message_type=message_type) for each in (b"", b"\x30\x00", b"junk")]
        # The last block decides whether the padding is right, the one before it what stands in the last.
        for octet in range(17, 33):
            for mask in (0, 1, 255):
                changed = bytearray(captured)
                changed[-octet] ^= mask
                contents.append(thief.signed(bytes(changed), message_type=message_type))
        for content in contents:
            answer = asked(thief, content, registrar)
            answers.add((answer.status, answer.fail_info, answer.text))
        if message_type in ("17", "19"):
            # As it came it holds a request, for a key that the thief does not have.
            answers -= {("2", "1", answer_of_another_key(answers))}
        assert answers == {("2", "1", messages.UNREADABLE)}
        assert not issued()


def answer_of_another_key(answers) -> str:
    [text] = [text for _status, _fail_info, text in answers if "another key" in text]
    return text


def issuer_and_subject(issuer: x509.Name, subject: x509.Name) -> bytes:
    content = issuer.public_bytes() + subject.public_bytes()
    return b"\x30" + bytes([len(content)]) + content


def certificate_name(certificate: x509.Certificate) -> bytes:
    own = syntax.IssuerAndSerialNumber(
        {
            "issuer": syntax.Name.load(certificate.issuer.public_bytes()),
            "serial_number": certificate.serial_number,
        }
    )
    return bytes(own.dump())


def crls(content: bytes) -> list[x509.CertificateRevocationList]:
    signed = syntax.ContentInfo.load(content)["content"]
    return [x509.load_der_x509_crl(choice.chosen.dump()) for choice in signed["crls"]]


def sealed_part(message: bytes) -> bytes:
    content: bytes = syntax.ContentInfo.load(message)["content"]["encap_content_info"]["content"].native
    return content


class TestForgedAndBroken:
    def test_another_signature_or_another_content_is_a_bad_message(self, registrar, now):
        sender, other = newcomer(), newcomer(2)
        impostor = Sender(sender.certificate, other.key)
        challenge = challenge_of(device(), now)
        request = request_for(sender.key, sender.certificate.subject, challenge)
        answer = asked(sender, impostor.message(request, registrar), registrar)
        assert (answer.status, answer.fail_info) == ("2", "1")
        whole = sender.message(request, registrar)
        # Any octet of what is sealed stands under the digest.
        changed = bytearray(whole)
        changed[whole.index(sealed_part(whole)) + 100] ^= 1
        answer = asked(sender, bytes(changed), registrar)
        assert (answer.status, answer.fail_info) == ("2", "1")
        assert "digest" in answer.text
        assert not issued()

    def test_a_message_that_is_sealed_to_somebody_else_says_what_to_do(self, registrar, now):
        sender = newcomer()
        message = enrolment(sender, challenge_of(device(), now), newcomer(3).certificate)
        answer = asked(sender, message, registrar)
        assert (answer.status, answer.fail_info) == ("2", "1")
        assert "GetCACert" in answer.text

    @pytest.mark.parametrize("content", [b"", b"junk", b"\x30\x80" * 100])
    def test_a_content_that_is_not_sealed_is_a_bad_message(self, registrar, content):
        sender = newcomer()
        answer = asked(sender, sender.signed(content), registrar)
        assert (answer.status, answer.fail_info) == ("2", "1")

    def test_a_message_by_an_ec_key_or_a_weak_hash_is_a_bad_algorithm(self, registrar):
        sender = newcomer()
        answer = asked(sender, sender.signed(b"content", hash_name="sha1"), registrar)
        assert (answer.status, answer.fail_info, answer.hash_name) == ("2", "0", "sha256")

    def test_a_message_without_a_transaction_cannot_be_answered(self, registrar):
        for missing in (MESSAGE_TYPE, SENDER_NONCE, TRANSACTION_ID):
            response = post(newcomer().signed(b"content", without=[missing]))
            assert response.status_code == 400


@pytest.mark.django_db(transaction=True)
def test_twenty_uses_of_one_challenge_at_once_give_one_certificate(registrar, now):
    new, keys = device(), 4
    challenge = challenge_of(new, now)
    senders = [newcomer(number % keys) for number in range(20)]
    messages = [enrolment(each, challenge, registrar) for each in senders]
    answers: list[tuple[Sender, bytes]] = []

    def ask(sender: Sender, message: bytes) -> None:
        try:
            answers.append((sender, post(message).content))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask, args=each) for each in zip(senders, messages, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = [sender.read(content, registrar) for sender, content in answers]
    assert len(read) == 20
    [certificate] = Certificate.objects.filter(device=new)
    given = [each.certificate for each in read if each.status == "0"]
    # Whoever has its key is answered by it, as often as he asks.
    assert len(given) == 20 // keys
    assert {each.serial_number for each in given} == {certificate.x509.serial_number}


def test_a_message_costs_one_query_beside_those_of_gate_and_door(registrar, now, django_assert_num_queries):
    sender, old = enrolled(device(), now)
    message = sender.message(request_for(rsa_key(2), old.x509.subject), registrar, message_type="17")
    directory.find("demo", timezone.now())
    # Four of gate and door, three of the first use, one for the key that it is sealed to; two are the test's savepoint.
    with django_assert_num_queries(10):
        assert asked(sender, message, registrar).status == "0"
