"""The words of an import: what a column can mean, how a source is written, how a certificate finds its device."""

from enum import StrEnum


class Format(StrEnum):
    CSV = "csv"
    JSON_LINES = "jsonl"
    PEM = "pem"
    DER = "der"
    PKCS7 = "pkcs7"
    ZIP = "zip"


class Encoding(StrEnum):
    """How bytes are read as text. A byte order mark of UTF-8 is skipped in any case."""

    UTF_8 = "utf-8"
    LATIN_1 = "latin-1"


class Target(StrEnum):
    """What a column of a source can be mapped to. A column that is mapped to nothing is not read."""

    DEVICE_SERIAL = "device_serial"
    FLEET = "fleet"
    SITE = "site"
    BATCH = "batch"
    LATITUDE = "latitude"
    LONGITUDE = "longitude"
    MQTT_ID = "mqtt_id"
    PHONE_NUMBER = "phone_number"
    CONNECTIVITY = "connectivity"
    STATUS = "status"
    LAST_SEEN = "last_seen"
    CERTIFICATE = "certificate"
    CHAIN = "chain"
    ISSUED = "issued"
    STATE = "state"
    REVOKED_AT = "revoked_at"
    REVOCATION_REASON = "revocation_reason"


class Link(StrEnum):
    """Where a certificate names its device when no column does."""

    COLUMN = "column"
    COMMON_NAME = "cn"
    SUBJECT_SERIAL = "subject-serial"
    SAN_DNS = "san-dns"
    SAN_URI = "san-uri"


class Product(StrEnum):
    """Whose certificates an import can read as that product wrote them down."""

    LEMUR = "lemur"
    DJANGO_CA = "django-ca"
    STEP_CA = "step-ca"
    EJBCA = "ejbca"
    AWS_IOT = "aws-iot"
