"""Recognises content that is not a certificate, and says what to do with it, for the reasons of rejects. Pure."""

_PKCS12 = "PKCS #12; write its certificates out with openssl pkcs12 -in FILE -nokeys -out FILE.pem"
_KEY_STORE = "a Java key store; write its certificates out with keytool -list -rfc -keystore FILE"
_COMPRESSED = "unpack it, or save it as UTF-8"
_MAGIC = {
    b"\x1f\x8b": f"gzip; {_COMPRESSED}",
    b"\x28\xb5\x2f\xfd": f"zstd; {_COMPRESSED}",
    b"\xfd7zXZ": f"xz; {_COMPRESSED}",
    b"BZh": f"bzip2; {_COMPRESSED}",
    b"7z\xbc\xaf\x27\x1c": f"a 7z archive; {_COMPRESSED}",
    b"Rar!": f"a RAR archive; {_COMPRESSED}",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
    b"\xfe\xed\xfe\xed": _KEY_STORE,
    b"\xce\xce\xce\xce": _KEY_STORE,
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "a document of an old Office; save its sheet as CSV in UTF-8",
    b"%PDF": "PDF; export the table as CSV in UTF-8",
}
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
# The first elements inside the outermost SEQUENCE.
_VERSION_3 = bytes.fromhex("02010330")
_VERSION_0 = bytes.fromhex("020100")
_SEQUENCE = 0x30


def is_zip(beginning: bytes) -> bool:
    return beginning.startswith(_ZIP)


def foreign_kind(beginning: bytes) -> str:
    """Return what something that begins so is and what to do, when it is of a kind that is never read; else nothing."""
    for magic, kind in _MAGIC.items():
        if beginning.startswith(magic):
            return kind
    # RFC 7292 4: PFX ::= SEQUENCE { version INTEGER {v3(3)}, authSafe ContentInfo, ...
    return _PKCS12 if _inside(beginning).startswith(_VERSION_3) else ""


def kind_of_no_certificate(content: bytes) -> str:
    """Return what some content is that was taken for a certificate and is none, as far as it can be told."""
    if kind := foreign_kind(content):
        return kind
    if is_zip(content):
        return "a ZIP; unpack it, and import it by itself"
    inside = _inside(content)
    if inside.startswith(_VERSION_0):
        return "a private key, which is not taken"  # RFC 5208 5, RFC 8017 A.1.2
    if _inside(inside).startswith(_VERSION_0):
        return "a certification request (PKCS #10); import the certificate that came of it"
    if b"\0" not in content and b"\n" in content.strip() and b"," in content:
        return "text; if it is a table, import it by itself"
    return ""


def _inside(der: bytes) -> bytes:
    """Return what begins inside the SEQUENCE that `der` begins with, whether or not its length is a definite one."""
    if len(der) < 2 or der[0] != _SEQUENCE:
        return b""
    octets = der[1] & 0x7F if der[1] >= 0x80 else 0
    return der[2 + octets :]
