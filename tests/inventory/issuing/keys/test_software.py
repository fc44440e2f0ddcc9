"""Software keys: never in the clear on disk, never written over, and a wrong passphrase says so."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from inventory.issuing.keys.software import KeyExists, KeyUnavailable, SoftwareKeyStore
from inventory.x509.keys import KeyType
from tests.factories import key


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "keys"


@pytest.fixture
def store(directory):
    return SoftwareKeyStore(directory, b"open sesame")


@pytest.mark.parametrize("kind", [KeyType.EC_P256, KeyType.EC_P384, KeyType.ED25519, KeyType.RSA_2048])
def test_a_key_comes_back_as_it_was_made(store, kind):
    assert store.create("root", kind).public_key() == store.load("root").public_key()


def test_only_their_owner_can_reach_keys_whatever_the_umask(store, directory):
    before = os.umask(0)
    try:
        store.create("root", KeyType.EC_P256)
    finally:
        os.umask(before)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()] == [0o600]


def test_a_key_is_encrypted_on_disk(store, directory):
    made = store.create("root", KeyType.EC_P256)
    pem = (directory / "root.pem").read_bytes()
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())[-40:] not in pem


def test_a_wrong_passphrase_names_the_key_and_the_likely_cause(store, directory):
    store.create("root", KeyType.EC_P256)
    with pytest.raises(KeyUnavailable, match="Key root does not open: wrong passphrase or damaged file"):
        SoftwareKeyStore(directory, b"wrong").load("root")


def _clear_pem() -> bytes:
    return key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _agreement_pem() -> bytes:
    agreement = x25519.X25519PrivateKey.generate()
    return agreement.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (lambda: b"", "damaged"),
        (lambda: b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n", "damaged"),
        (_clear_pem, "does not open"),
        (_agreement_pem, "cannot sign"),
    ],
    ids=["empty", "cut off", "not encrypted", "no signing key"],
)
def test_a_file_that_is_no_encrypted_signing_key_is_unavailable(store, directory, content, why):
    directory.mkdir()
    (directory / "root.pem").write_bytes(content())
    with pytest.raises(KeyUnavailable, match=why):
        store.load("root")


def test_a_key_file_that_may_not_be_read_is_unavailable(store, directory):
    # A directory in its place fails for root as well, whom permissions do not stop.
    (directory / "root.pem").mkdir(parents=True)
    with pytest.raises(KeyUnavailable, match="Key root cannot be read"):
        store.load("root")


def test_a_missing_key_is_unavailable(store):
    with pytest.raises(KeyUnavailable, match="Key root is not in the key store"):
        store.load("root")


@given(st.text())
def test_no_name_leads_out_of_the_directory(name):
    store = SoftwareKeyStore(Path("/nonexistent/keys"), b"open sesame")
    with pytest.raises(KeyUnavailable):
        store.load(name)


@pytest.mark.parametrize("name", ["", ".", "..", "../secret-key", "a/b", "/etc/passwd", "a\0b", "x" * 300])
def test_a_name_that_is_no_file_name_is_refused(store, name):
    with pytest.raises(KeyUnavailable):
        store.load(name)


def test_a_key_is_never_written_over(store):
    first = store.create("root", KeyType.EC_P256)
    with pytest.raises(KeyExists, match="never written over"):
        store.create("root", KeyType.EC_P256)
    assert store.load("root").public_key() == first.public_key()


def test_of_many_that_make_one_key_at_once_one_wins_and_leaves_no_draft(store, directory):
    def create(_: int) -> bytes | None:
        try:
            return _point(store.create("root", KeyType.EC_P256))
        except KeyExists:
            return None

    with ThreadPoolExecutor(8) as threads:
        [winner] = [point for point in threads.map(create, range(8)) if point]
    assert winner == _point(store.load("root"))
    assert [path.name for path in directory.iterdir()] == ["root.pem"]


def _point(private_key) -> bytes:
    return private_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
