"""CMS (RFC 5652), as far as several protocols speak it. Pure."""

from collections.abc import Sequence

from inventory.x509 import der

SIGNED_DATA = der.object_identifier("1.2.840.113549.1.7.2")
DATA = der.object_identifier("1.2.840.113549.1.7.1")
_EMPTY_SET = der.element(der.SET)


def certs_only(certificates: Sequence[bytes], *, crls: Sequence[bytes] = ()) -> bytes:
    """Return certificates and CRLs, each in DER, as a SignedData without content that nobody signed (RFC 5652 5.1).

    They are sets, which DER orders (X.690 11.6).
    """
    signed_data = der.element(
        der.SEQUENCE,
        der.integer(1),
        _EMPTY_SET,
        der.element(der.SEQUENCE, DATA),
        der.element(der.explicit(0), *sorted(certificates)) if certificates else b"",
        der.element(der.explicit(1), *sorted(crls)) if crls else b"",
        _EMPTY_SET,
    )
    return content_info(SIGNED_DATA, signed_data)


def content_info(content_type: bytes, content: bytes) -> bytes:
    """Return a ContentInfo (RFC 5652 3) of an encoded object identifier and an encoded content."""
    return der.element(der.SEQUENCE, content_type, der.element(der.explicit(0), content))
