"""What people leave, in the schemas of those products: tables made here as theirs are, filled as they fill them."""

import base64
import json
from datetime import UTC, datetime

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from inventory.importing.products import Product
from inventory.models import Authority, Certificate, ImportRun, Purpose
from tests.factories import NOW, fleet
from tests.inventory.importing.foreign import DAY, ForeignAuthority, counts, der, imported, pem, write_csv

pytestmark = pytest.mark.django_db(transaction=True)

REVOKED_AT = datetime(2026, 3, 24, 8, 30, tzinfo=UTC)


@pytest.fixture
def old():
    return ForeignAuthority()


@pytest.fixture
def left_behind():
    """A database that another product has left, on the server of the test run."""
    own = settings.DATABASES["default"]
    name = f"{connection.settings_dict['NAME']}_left"
    server = f"postgresql://{own['USER']}@/postgres?host={own['HOST']}"
    with psycopg.connect(server, autocommit=True) as administration:
        administration.execute(f'DROP DATABASE IF EXISTS "{name}"')
        administration.execute(f'CREATE DATABASE "{name}"')
    yield f"postgresql://{own['USER']}@/{name}?host={own['HOST']}"
    with psycopg.connect(server, autocommit=True) as administration:
        administration.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def take_over(product: str, source: str, *options: str) -> ImportRun:
    call_command("import_inventory", source, "--from", product, "--fleet", fleet().slug, "--json", *options)
    return ImportRun.objects.latest("pk")


def revoked(serial: str) -> tuple[datetime | None, str]:
    found = Certificate.objects.get(device__serial=serial)
    assert found.state == "revoked"
    return found.revoked_at, found.revocation_reason


# Columns of lemur/certificates/models.py, with the types that its migrations give them.
LEMUR = """
    CREATE TABLE certificates (
        id serial PRIMARY KEY, external_id varchar(128), owner varchar(128) NOT NULL, name varchar(256) UNIQUE,
        description varchar(1024), notify boolean, body text NOT NULL, chain text, csr text, private_key bytea,
        issuer varchar(128), serial varchar(128), cn varchar(128), deleted boolean, dns_provider_id integer,
        not_before timestamp with time zone, not_after timestamp with time zone,
        date_created timestamp with time zone DEFAULT now() NOT NULL, signing_algorithm varchar(128),
        status varchar(128), bits integer, san varchar(1024), rotation boolean, user_id integer, authority_id integer,
        root_authority_id integer, rotation_policy_id integer
    )
"""
_INTO_LEMUR = "INSERT INTO certificates (owner, name, body, chain, private_key, status) VALUES (%s, %s, %s, %s, %s, %s)"


def test_lemur_leaves_its_database(left_behind, old, capsys):
    chain = pem(old.certificate)
    with psycopg.connect(left_behind) as lemur:
        lemur.execute(LEMUR)
        for number, status in enumerate([*["valid"] * 3, None, "unknown", "revoked"]):
            values = ["ops@old", f"M-{number}", pem(old.signs(f"CN=M-{number}")).strip(), chain, b"secret", status]
            lemur.execute(_INTO_LEMUR, values)
        lemur.execute(_INTO_LEMUR, ["ops@old", "broken", "-----BEGIN CERTIFICATE-----", None, None, "valid"])

    run = take_over("lemur", left_behind)

    assert counts(run) == {
        "records": 7, "devices_new": 6, "certificates_new": 7, "authorities_new": 1, "rejected": 1,
    }  # fmt: skip
    assert Certificate.objects.filter(state="revoked").get().device.serial == "M-5"
    authority = Authority.objects.external().select_related("certificate").get()
    assert bytes(authority.certificate.der) == der(old.certificate)
    assert "secret" not in capsys.readouterr().out and "M-0" not in run.source

    again = take_over("lemur", left_behind)
    assert (again.certificates_known, again.certificates_new, again.devices_new) == (7, 0, 0)


def test_lemur_leaves_a_csv_of_its_table(tmp_path, old):
    rows = [
        {"id": 1, "owner": "ops", "name": "M-1", "body": pem(old.signs("CN=M-1")), "chain": pem(old.certificate),
         "private_key": "\\x00", "status": "revoked", "cn": "M-1"},
    ]  # fmt: skip
    run = imported(write_csv(tmp_path / "lemur.csv", rows), fleet(), product=Product.LEMUR)
    assert (run.certificates_new, run.devices_new) == (2, 1)
    assert revoked("M-1") == (NOW, "unspecified")


# X509CertMixin, CertificateAuthority and Certificate of ca/django_ca/models.py.
_MIXIN = """
    id serial PRIMARY KEY, created timestamptz, not_before timestamptz, not_after timestamptz, pub bytea,
    cn varchar(128), serial varchar(64) UNIQUE, revoked boolean NOT NULL DEFAULT false, revoked_date timestamptz,
    revoked_reason varchar(32) NOT NULL DEFAULT '', compromised timestamptz
"""
DJANGO_CA = f"""
    CREATE TABLE django_ca_certificateauthority ({_MIXIN}, name varchar(256), parent_id integer);
    CREATE TABLE django_ca_certificate ({_MIXIN}, ca_id integer, csr bytea, profile varchar(32), autogenerated boolean)
"""


def test_django_ca_leaves_its_database(left_behind, old):
    below = ForeignAuthority("CN=Sub CA,O=Old", above=old)
    with psycopg.connect(left_behind) as peer:
        peer.execute(DJANGO_CA)
        for authority in (old, below):
            peer.execute("INSERT INTO django_ca_certificateauthority (pub) VALUES (%s)", [der(authority.certificate)])
        into = (
            "INSERT INTO django_ca_certificate (pub, serial, revoked, revoked_date, revoked_reason)"
            " VALUES (%s, %s, %s, %s, %s)"
        )
        peer.execute(into, [der(below.signs("CN=C-1")), "A1", False, None, ""])
        peer.execute(into, [der(below.signs("CN=C-2")), "A2", True, REVOKED_AT, "key_compromise"])
        peer.execute(into, [der(below.signs("CN=C-3")), "A3", True, REVOKED_AT, ""])
        # Until 1.20 it was PEM in a column of text.
        peer.execute(into, [pem(below.signs("CN=C-4")).encode(), "A4", False, None, ""])

    run = take_over("django-ca", left_behind)

    assert (run.devices_new, run.certificates_new, run.rejected) == (4, 6, 0)
    assert revoked("C-2") == (REVOKED_AT, "keyCompromise") and revoked("C-3") == (REVOKED_AT, "unspecified")
    sub = Authority.objects.get(name="Sub CA")
    assert sub.parent.name == "Old Device CA" and sub.parent.parent is None


# db/db.go: a revocation is this JSON; nosql's tables on PostgreSQL have two columns of bytes.
STEP_CA = "".join(
    f"CREATE TABLE {name} (nkey bytea CHECK (octet_length(nkey) <= 255), nvalue bytea, PRIMARY KEY (nkey));"
    for name in ("x509_certs", "x509_certs_data", "revoked_x509_certs")
)


def _revocation(serial: str, code: int) -> str:
    return json.dumps(
        {"Serial": serial, "ProvisionerID": "admin", "ReasonCode": code, "Reason": "lost",
         "RevokedAt": REVOKED_AT.isoformat().replace("+00:00", "Z"), "TokenID": "t", "MTLS": False, "ACME": False}
    )  # fmt: skip


def test_step_ca_leaves_its_database(left_behind, old):
    with psycopg.connect(left_behind) as peer:
        peer.execute(STEP_CA)
        for number in range(3):
            certificate = old.signs(f"CN=T-{number}")
            key = str(certificate.serial_number)
            peer.execute("INSERT INTO x509_certs VALUES (%s, %s)", [key.encode(), der(certificate)])
            if number == 1:
                peer.execute(
                    "INSERT INTO revoked_x509_certs VALUES (%s, %s)", [key.encode(), _revocation(key, 4).encode()]
                )

    run = take_over("step-ca", left_behind)

    assert (run.devices_new, run.certificates_new, run.rejected) == (3, 3, 0)
    assert revoked("T-1") == (REVOKED_AT, "superseded")


def test_step_ca_leaves_an_export_of_badger(tmp_path, old):
    never = {"ProvisionerID": "", "ReasonCode": 0, "Reason": "", "RevokedAt": "0001-01-01T00:00:00Z"}
    documents = [
        {"Certificate": {"Raw": base64.b64encode(der(old.signs("CN=B-1"))).decode()}, "Revocation": never},
        {
            "Certificate": {"Raw": base64.b64encode(der(old.signs("CN=B-2"))).decode()},
            "Revocation": json.loads(_revocation("1", 1)),
        },
    ]
    path = tmp_path / "badger.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in documents))

    run = imported(path, fleet(), product=Product.STEP_CA)

    assert (run.devices_new, run.certificates_new, run.rejected) == (2, 2, 0)
    assert revoked("B-2") == (REVOKED_AT, "keyCompromise")


# doc/sql-scripts/create-tables-ejbca-postgres.sql
EJBCA = """
    CREATE TABLE CertificateData (
        fingerprint TEXT NOT NULL, base64Cert TEXT, cAFingerprint TEXT, certificateProfileId INT4 NOT NULL,
        endEntityProfileId INT4, expireDate INT8 NOT NULL, issuerDN TEXT NOT NULL, notBefore INT8,
        revocationDate INT8 NOT NULL, revocationReason INT4 NOT NULL, rowProtection TEXT, rowVersion INT4 NOT NULL,
        serialNumber TEXT NOT NULL, status INT4 NOT NULL, subjectAltName TEXT, subjectDN TEXT NOT NULL,
        subjectKeyId TEXT, tag TEXT, type INT4 NOT NULL, updateTime INT8 NOT NULL, username TEXT,
        PRIMARY KEY (fingerprint));
    CREATE TABLE Base64CertData (fingerprint TEXT NOT NULL, base64Cert TEXT, rowProtection TEXT,
        rowVersion INT4 NOT NULL, PRIMARY KEY (fingerprint))
"""


def _ejbca_row(certificate, status: int, reason: int, *, type_: int = 1) -> dict[str, object]:
    text = base64.b64encode(der(certificate)).decode()
    return {
        "fingerprint": f"{certificate.serial_number:040x}"[:40], "base64Cert": text, "cAFingerprint": "ca",
        "certificateProfileId": 1, "expireDate": 1, "issuerDN": "CN=Old", "revocationReason": reason,
        "revocationDate": int(REVOKED_AT.timestamp() * 1000) if reason >= 0 else -1, "rowVersion": 0,
        "serialNumber": str(certificate.serial_number), "status": status, "subjectDN": "CN", "type": type_,
        "updateTime": 1, "username": "u",
    }  # fmt: skip


def _ejbca_rows(old: ForeignAuthority) -> list[dict[str, object]]:
    return [
        _ejbca_row(old.certificate, 20, -1, type_=8),
        _ejbca_row(old.signs("CN=E-1"), 20, -1),
        _ejbca_row(old.signs("CN=E-2"), 40, 1),
        _ejbca_row(old.signs("CN=E-3"), 60, 5),
        _ejbca_row(old.signs("CN=E-4"), 60, -1),
        _ejbca_row(old.signs("CN=E-5"), 40, 6),
    ]


def _assert_ejbca(run: ImportRun) -> None:
    assert (run.devices_new, run.certificates_new, run.rejected) == (5, 6, 0)
    assert revoked("E-2") == (REVOKED_AT, "keyCompromise") and revoked("E-3") == (REVOKED_AT, "cessationOfOperation")
    assert revoked("E-5") == (REVOKED_AT, "unspecified")
    assert Certificate.objects.get(device__serial="E-4").state == "issued"
    assert Authority.objects.external().get().certificate.purpose == Purpose.AUTHORITY


def test_ejbca_leaves_its_database(left_behind, old):
    with psycopg.connect(left_behind) as peer:
        peer.execute(EJBCA)
        for row in _ejbca_rows(old):
            names = ", ".join(row)
            peer.execute(
                f"INSERT INTO CertificateData ({names}) VALUES ({', '.join(['%s'] * len(row))})",  # noqa: S608
                [*row.values()],
            )
        # With "database.useSeparateCertificateTable" the certificate is in a table of its own.
        peer.execute(
            "INSERT INTO Base64CertData SELECT fingerprint, base64Cert, NULL, 0 FROM CertificateData WHERE status = 60"
        )
        peer.execute("UPDATE CertificateData SET base64Cert = NULL WHERE status = 60")

    _assert_ejbca(take_over("ejbca", left_behind))


def test_ejbca_leaves_a_csv_of_its_table(tmp_path, old):
    _assert_ejbca(imported(write_csv(tmp_path / "ejbca.csv", _ejbca_rows(old)), fleet(), product=Product.EJBCA))


def test_aws_iot_leaves_its_registry(tmp_path, old):
    created = (NOW - 90 * DAY).timestamp()

    def line(name: str, status: str, certificate=None) -> str:
        number = f"{hash(name) & (1 << 64) - 1:064x}"
        return json.dumps(
            {
                "thing": {
                    "thingName": name, "thingTypeName": "meter", "thingArn": f"arn:aws:iot:eu-west-1:1:thing/{name}",
                    "attributes": {"site": "Penang"}, "version": 1,
                },
                "certificate": {
                    "certificateArn": f"arn:aws:iot:eu-west-1:1:cert/{number}", "certificateId": number,
                    "status": status, "certificatePem": pem(certificate or old.signs("CN=AWS IoT Certificate")),
                    "ownedBy": "123456789012", "creationDate": created, "lastModifiedDate": REVOKED_AT.timestamp(),
                    "customerVersion": 1, "transferData": {}, "generationId": "g", "certificateMode": "DEFAULT",
                    "validity": {"notBefore": created, "notAfter": created + 1e8},
                },
            }
        )  # fmt: skip

    path = tmp_path / "registry.jsonl"
    lines = [
        line("lamp-1", "ACTIVE"),
        line("lamp-2", "REVOKED"),
        line("lamp-3", "INACTIVE"),
        line("has:colon", "ACTIVE"),
    ]
    described = json.dumps(
        {"certificateDescription": {"certificatePem": pem(old.signs("CN=alone")), "status": "ACTIVE"}}
    )
    path.write_text("\n".join([*lines, line("lamp-4", "LOST"), described]))

    run = imported(path, fleet(), product=Product.AWS_IOT, columns={"thing.attributes.site": "site"})

    assert (run.devices_new, run.certificates_new, run.rejected) == (4, 4, 2)
    assert revoked("lamp-2") == (REVOKED_AT, "unspecified")
    assert Certificate.objects.get(device__serial="lamp-1").device.site.name == "Penang"
    assert Certificate.objects.filter(device__serial="alone").exists()
    assert "no device serial" in run.first_rejects[0]["reason"] and "'LOST'" in run.first_rejects[1]["reason"]
