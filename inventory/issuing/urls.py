"""The URLs in certificates (CDP, AIA). They must work until the last certificate with them has expired."""

from django.conf import settings


def crl_url(authority_slug: str, shard: int) -> str:
    """Where one shard of an authority's CRL is; byte for byte its issuing distribution point too (RFC 5280 5.2.5)."""
    return f"{settings.PUBLIC_STATUS_URL}/crl/{authority_slug}/{shard}.crl"


def complete_crl_url(authority_slug: str) -> str:
    """Where the CRL of everything that an authority issued is. No certificate names it."""
    return f"{settings.PUBLIC_STATUS_URL}/crl/{authority_slug}/all.crl"


def ocsp_url(authority_slug: str) -> str:
    """Where an authority's OCSP responder is (RFC 5280 4.2.2.1, id-ad-ocsp)."""
    return f"{settings.PUBLIC_STATUS_URL}/ocsp/{authority_slug}/"


def issuer_url(authority_slug: str) -> str:
    """Where an authority's own certificate is, in DER (RFC 5280 4.2.2.1, id-ad-caIssuers)."""
    return f"{settings.PUBLIC_STATUS_URL}/ca/{authority_slug}.cer"
