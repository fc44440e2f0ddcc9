"""Other products: how they write certificates in their exports and databases.

Each product is a mapping of its own columns, a translation of its own words, and the queries that read its database.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inventory.formats.imports import Link, Product, Target
from inventory.importing.parsing.rows import Cells
from inventory.importing.parsing.values import BadValue


@dataclass(frozen=True)
class Query:
    """A table read in the order of its key, a page at a time. `key` is the first column; `after` begins before all."""

    sql: str
    after: int | str


@dataclass(frozen=True)
class Description:
    """`mapping` names columns of an export or of `queries`, and paths of JSON."""

    mapping: Mapping[str, Target]
    link: Link
    queries: tuple[Query, ...] = ()


_REVOCATION = {
    "revoked": Target.STATE,
    "revoked_date": Target.REVOKED_AT,
    "revoked_reason": Target.REVOCATION_REASON,
}

DESCRIPTIONS: Mapping[Product, Description] = {
    # lemur/certificates/models.py. The keys of its certificates are in `private_key`, which is not read.
    Product.LEMUR: Description(
        mapping={"body": Target.CERTIFICATE, "chain": Target.CHAIN, "status": Target.STATE},
        link=Link.COMMON_NAME,
        queries=(
            Query(
                "SELECT id, body, chain, status FROM certificates WHERE id > %(after)s ORDER BY id LIMIT %(most)s", 0
            ),
        ),
    ),
    # ca/django_ca/models.py, X509CertMixin: `pub` is DER since 1.20, PEM before.
    Product.DJANGO_CA: Description(
        mapping={"pub": Target.CERTIFICATE, **_REVOCATION},
        link=Link.COMMON_NAME,
        queries=tuple(
            Query(
                f"SELECT id, pub, revoked, revoked_date, revoked_reason FROM {table} "  # noqa: S608
                "WHERE id > %(after)s ORDER BY id LIMIT %(most)s",
                0,
            )
            for table in ("django_ca_certificateauthority", "django_ca_certificate")
        ),
    ),
    # db/db.go and nosql: tables of two columns; a certificate is DER, a revocation is JSON. Then step-badger's JSON.
    Product.STEP_CA: Description(
        mapping={
            "certificate": Target.CERTIFICATE,
            "revocation": Target.STATE,
            "Certificate.Raw": Target.CERTIFICATE,
            "Revocation": Target.STATE,
        },
        link=Link.COMMON_NAME,
        queries=(
            Query(
                "SELECT encode(c.nkey, 'hex') AS key, c.nvalue AS certificate,"
                " convert_from(r.nvalue, 'UTF8') AS revocation"
                " FROM x509_certs c LEFT JOIN revoked_x509_certs r ON r.nkey = c.nkey"
                " WHERE c.nkey > decode(%(after)s, 'hex') ORDER BY c.nkey LIMIT %(most)s",
                "",
            ),
        ),
    ),
    # CertificateData and Base64CertData of doc/sql-scripts; times are milliseconds, -1 is never.
    Product.EJBCA: Description(
        mapping={
            "base64Cert": Target.CERTIFICATE,
            "base64cert": Target.CERTIFICATE,
            "status": Target.STATE,
            "revocationDate": Target.REVOKED_AT,
            "revocationdate": Target.REVOKED_AT,
            "revocationReason": Target.REVOCATION_REASON,
            "revocationreason": Target.REVOCATION_REASON,
        },
        link=Link.COMMON_NAME,
        queries=(
            Query(
                "SELECT c.fingerprint, COALESCE(c.base64Cert, b.base64Cert) AS base64cert, c.status,"
                " c.revocationDate, c.revocationReason"
                " FROM CertificateData c LEFT JOIN Base64CertData b ON b.fingerprint = c.fingerprint"
                " WHERE c.fingerprint > %(after)s ORDER BY c.fingerprint LIMIT %(most)s",
                "",
            ),
        ),
    ),
    # An element of list-things beside the certificateDescription of describe-certificate, or the latter alone.
    Product.AWS_IOT: Description(
        mapping={
            "thing.thingName": Target.DEVICE_SERIAL,
            **{
                f"{at}{path}": target
                for at in ("certificate.", "certificateDescription.", "certificate.certificateDescription.")
                for path, target in (
                    ("certificatePem", Target.CERTIFICATE),
                    ("status", Target.STATE),
                    ("lastModifiedDate", Target.REVOKED_AT),
                )
            },
        },
        link=Link.COMMON_NAME,
    ),
}


def _lemur(cells: Cells) -> Cells:
    # Lemur knows valid, revoked and unknown, and not when or why.
    return {**cells, Target.STATE: "revoked" if cells.get(Target.STATE) == "revoked" else "valid"}


def _django_ca(cells: Cells) -> Cells:
    if _word(cells, Target.STATE) in {"true", "t", "1"}:
        return cells
    return _standing(cells)


def _step_ca(cells: Cells) -> Cells:
    text = _word(cells, Target.STATE)
    if not text:
        return _standing(cells)
    try:
        revocation = json.loads(text)
        at, number = str(revocation["RevokedAt"]), int(revocation["ReasonCode"])
    except (ValueError, TypeError, KeyError) as error:
        raise BadValue("The revocation is no JSON of step-ca with RevokedAt and ReasonCode.") from error
    if at.startswith("0001-"):  # Go's zero time: there is no revocation
        return _standing(cells)
    return {**cells, Target.STATE: "revoked", Target.REVOKED_AT: at, Target.REVOCATION_REASON: str(number)}


_EJBCA_REVOKED = "40"
_EJBCA_ARCHIVED = "60"


def _ejbca(cells: Cells) -> Cells:
    status, reason = _word(cells, Target.STATE), _word(cells, Target.REVOCATION_REASON)
    # An archived certificate was revoked if it has a reason; -1 is none, 8 takes a hold back (RFC 5280 5.3.1).
    revoked = status == _EJBCA_REVOKED or (status == _EJBCA_ARCHIVED and reason not in {"", "-1", "8"})
    if not revoked:
        return _standing(cells)
    at = _word(cells, Target.REVOKED_AT)
    return {
        **cells,
        Target.STATE: "revoked",
        Target.REVOKED_AT: "" if at.startswith("-") else at,
        Target.REVOCATION_REASON: "0" if reason == "-1" else reason,
    }


_AWS_STATES = {"ACTIVE", "INACTIVE", "PENDING_TRANSFER", "REGISTER_INACTIVE", "PENDING_ACTIVATION"}


def _aws_iot(cells: Cells) -> Cells:
    state = _word(cells, Target.STATE)
    if state == "REVOKED":
        # The registry keeps no time of revocation; nothing changes a certificate after it.
        return cells
    if state and state not in _AWS_STATES:
        raise BadValue(f"{state!r} is no status of a certificate of AWS IoT.")
    return _standing(cells)


def _standing(cells: Cells) -> Cells:
    """Return the cells of a certificate that is not revoked, whatever stands in the columns of revocation."""
    rest = {Target.STATE, Target.REVOKED_AT, Target.REVOCATION_REASON}
    return {target: value for target, value in cells.items() if target not in rest}


def _word(cells: Cells, target: Target) -> str:
    value = cells.get(target, "")
    return value.strip() if isinstance(value, str) else ""


TRANSLATIONS: Mapping[str, Callable[[Cells], Cells]] = {
    Product.LEMUR: _lemur,
    Product.DJANGO_CA: _django_ca,
    Product.STEP_CA: _step_ca,
    Product.EJBCA: _ejbca,
    Product.AWS_IOT: _aws_iot,
}
