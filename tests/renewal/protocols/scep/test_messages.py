"""SCEP messages: whatever the bytes, they are read, or refused by name."""

import random
import subprocess
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from renewal.protocols.scep import messages
from renewal.protocols.scep.messages import FailInfo, NotAMessage, PkiStatus, Unacceptable, Voice
from tests.factories import common_name
from tests.mutants import mutated
from tests.renewal.protocols.scep.device import Sender, request_for, rsa_key, self_signed

_SEED = 20270301


@pytest.fixture(scope="module")
def sender() -> Sender:
    return Sender(self_signed(rsa_key(), common_name("meter")), rsa_key())


@pytest.fixture(scope="module")
def registrar() -> Sender:
    return Sender(self_signed(rsa_key(1), common_name("registrar")), rsa_key(1))


@pytest.fixture(scope="module")
def request_der(sender) -> bytes:
    return request_for(sender.key, common_name("meter"), "a secret")


def opened(encoded: bytes, registrar: Sender) -> bytes:
    message = messages.parse(encoded)
    messages.verify(message)
    return messages.envelope(message.content).open(registrar.certificate.serial_number, registrar.key)


def mutants(seed: bytes, count: int) -> Iterator[bytes]:
    """Yield variations of `seed`, the same at each run."""
    draw = random.Random(_SEED)  # noqa: S311  (repeatable, no secret)
    for _ in range(count):
        yield mutated(seed, draw)


def test_a_message_is_opened_by_the_key_that_it_is_sealed_to(sender, registrar, request_der):
    message = sender.message(request_der, registrar.certificate)
    assert opened(message, registrar) == request_der
    with pytest.raises(Unacceptable):
        opened(sender.message(request_der, sender.certificate), registrar)


def test_aes_192_is_opened_as_well(sender, registrar, request_der, tmp_path):
    # OpenSSL's own message, with the one AES that the library does not seal with.
    sealed = openssl_sealed(request_der, registrar, tmp_path, "-aes-192-cbc")
    assert opened(sender.signed(sealed), registrar) == request_der


@pytest.mark.parametrize("cipher", ["-aes-128-cbc", "-aes-256-cbc"])
def test_the_indefinite_lengths_of_ber_are_read(sender, registrar, request_der, tmp_path, cipher):
    sealed = openssl_sealed(request_der, registrar, tmp_path, cipher, "-stream", "-indef")
    assert sealed[1] == 0x80
    assert opened(sender.signed(sealed), registrar) == request_der


def test_another_cipher_is_a_bad_algorithm_that_is_named(sender, registrar, request_der, tmp_path):
    sealed = openssl_sealed(request_der, registrar, tmp_path, "-des3")
    with pytest.raises(Unacceptable, match="tripledes_3key") as refused:
        opened(sender.signed(sealed), registrar)
    assert refused.value.fail_info == FailInfo.BAD_ALG


def openssl_sealed(content: bytes, to: Sender, directory, *options: str) -> bytes:
    certificate = directory / "to.pem"
    certificate.write_bytes(to.certificate.public_bytes(Encoding.PEM))
    command = ["openssl", "cms", "-encrypt", "-binary", "-outform", "DER", *options, str(certificate)]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout


def test_every_mutant_of_a_message_is_read_or_refused_by_name(sender, registrar, request_der):
    seed, refused = sender.message(request_der, registrar.certificate), 0
    for mutant in mutants(seed, 3000):
        try:
            assert opened(mutant, registrar) == request_der
        except (NotAMessage, Unacceptable):
            refused += 1
    # Some octets are under no signature, as those of an algorithm's parameters.
    assert refused > 2700


def test_every_mutant_of_a_sealed_content_is_opened_or_refused_by_name(registrar, request_der, sender):
    message = messages.parse(sender.message(request_der, registrar.certificate))
    refusals = set()
    for mutant in mutants(message.content, 3000):
        try:
            messages.envelope(mutant).open(registrar.certificate.serial_number, registrar.key)
        except Unacceptable as refused:
            refusals.add(refused.fail_info)
    assert refusals == {FailInfo.BAD_MESSAGE_CHECK, FailInfo.BAD_ALG}


@pytest.mark.parametrize("read", [messages.certificate_name, messages.envelope])
def test_every_mutant_of_another_content_is_refused_by_name(read: Callable[[bytes], object]):
    seed = b"\x30\x12\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02CA\x02\x01\x05"
    for mutant in mutants(seed, 3000):
        try:
            read(mutant)
        except Unacceptable as refused:
            assert refused.fail_info in (FailInfo.BAD_MESSAGE_CHECK, FailInfo.BAD_REQUEST, FailInfo.BAD_ALG)


def test_a_certificate_is_named_by_issuer_and_serial_number():
    named = messages.certificate_name(b"\x30\x12\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02CA\x02\x01\x05")
    assert (named.issuer, named.serial) == (common_name("CA"), 5)


def test_whatever_does_not_open_is_told_in_the_same_words(registrar, request_der, sender):
    content = messages.parse(sender.message(request_der, registrar.certificate)).content
    sealed = messages.envelope(content)
    texts = set()
    for broken in (
        content[:-1] + bytes([content[-1] ^ 1]),  # its last block, and so its padding
        content.replace(sealed._keys[registrar.certificate.serial_number], bytes(256)),  # the sealed key
    ):
        with pytest.raises(Unacceptable) as refused:
            messages.envelope(broken).open(registrar.certificate.serial_number, registrar.key)
        texts.add((refused.value.fail_info, str(refused.value)))
    with pytest.raises(Unacceptable) as refused:
        sealed.open(registrar.certificate.serial_number, rsa_key(2))
    texts.add((refused.value.fail_info, str(refused.value)))
    assert texts == {(FailInfo.BAD_MESSAGE_CHECK, messages.UNREADABLE)}


def test_an_answer_is_what_openssl_verifies(sender, registrar, request_der, tmp_path):
    message = messages.parse(sender.message(request_der, registrar.certificate))
    voice = Voice(registrar.certificate, registrar.key, bytes(16))
    answers = {
        PkiStatus.SUCCESS: messages.success(message, b"content", sender.certificate, "aes256_cbc", voice),
        PkiStatus.FAILURE: messages.failure(message, FailInfo.BAD_TIME, "It is too late.", voice),
    }
    certificate, key = tmp_path / "sender.pem", tmp_path / "sender.key"
    certificate.write_bytes(sender.certificate.public_bytes(Encoding.PEM))
    key.write_bytes(sender.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for status, answer in answers.items():
        verify = ["openssl", "cms", "-verify", "-noverify", "-inform", "DER", "-binary"]
        if status == PkiStatus.FAILURE:
            # It has no content, and openssl wants some.
            empty = tmp_path / "empty"
            empty.write_bytes(b"")
            verify += ["-content", str(empty)]
        done = subprocess.run(verify, input=answer, capture_output=True, check=False)
        assert b"successful" in done.stderr, done.stderr
        if status == PkiStatus.SUCCESS:
            decrypt = ["openssl", "cms", "-decrypt", "-inform", "DER", "-recip", str(certificate), "-inkey", str(key)]
            assert subprocess.run(decrypt, input=done.stdout, capture_output=True, check=True).stdout == b"content"
        assert sender.read(answer, registrar.certificate).status == status
