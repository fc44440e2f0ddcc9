"""The names of keys: the same key has the same hash wherever it stands."""

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from inventory.issuing.keys.software import generate
from inventory.x509 import keys
from inventory.x509.csr import parse
from inventory.x509.keys import KeyType
from tests.factories import csr_der, key

FAST = [KeyType.EC_P256, KeyType.EC_P384, KeyType.ED25519, KeyType.RSA_2048]


@pytest.mark.parametrize("kind", FAST)
def test_a_generated_key_is_of_the_kind_asked_for(kind):
    assert keys.key_type(generate(kind).public_key()) == kind


def test_every_kind_has_a_label_for_people():
    assert len({kind.label for kind in KeyType}) == len(KeyType)


def test_the_hash_of_a_key_is_that_of_its_subject_public_key_info():
    own = key()
    spki = own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert keys.spki_sha256(own.public_key()) == hashlib.sha256(spki).digest()
    assert parse(csr_der(own, "SM1")).spki_sha256 == parse(csr_der(own, "SM2")).spki_sha256


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (KeyType.EC_P256, hashes.SHA256),
        (KeyType.EC_P384, hashes.SHA384),
        (KeyType.RSA_2048, hashes.SHA256),
        (KeyType.ED25519, type(None)),
    ],
)
def test_a_signature_hashes_as_strongly_as_its_key(kind, expected):
    assert isinstance(keys.signature_hash(generate(kind)), expected)
