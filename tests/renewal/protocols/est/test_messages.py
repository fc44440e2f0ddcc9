"""EST messages: what is assembled here is what the library writes."""

import base64

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from renewal.protocols.est.messages import certs_only
from tests.factories import authority, enrolled, root

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_certs_only_message_is_byte_for_byte_the_librarys(number):
    certificates = [enrolled().certificate.x509, authority().x509, root().x509][:number]
    reference = pkcs7.serialize_certificates(certificates, Encoding.DER)
    ders = [each.public_bytes(Encoding.DER) for each in certificates]
    one_line, lines = certs_only(ders, one_line=True), certs_only(ders, one_line=False)
    assert base64.b64decode(one_line, validate=True) == reference
    assert b"\n" not in one_line
    assert lines.replace(b"\n", b"") == one_line
    assert all(len(line) == 64 for line in lines.splitlines()[:-1])
    assert lines.endswith(b"\n")
