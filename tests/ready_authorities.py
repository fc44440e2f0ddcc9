"""A root and an issuing authority, established once a process and put back for each test that begins without any.

Most tests need one certificate, and with it a chain. Established, it takes eighteen statements, two key files and two
signatures; put back, five statements. What is put back is what `establish` left: rows of authorities, of their
certificates and of the audit log, under new keys, for the keys that are in the key store since.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from django.conf import settings
from django.db import connection, transaction

from inventory.models import AuditEvent, Authority, Certificate

Values: TypeAlias = dict[str, Any]
Pair: TypeAlias = tuple[Authority, Authority]

_KEYS = """
    SELECT nextval('inventory_authority_id_seq'), nextval('inventory_authority_id_seq'),
           nextval('inventory_certificate_id_seq'), nextval('inventory_certificate_id_seq')"""


@dataclass(frozen=True)
class _Rows:
    """Of a root and the authority below it, in this order."""

    authorities: list[Values]
    certificates: list[Values]
    events: list[Values]


_left: dict[tuple[object, ...], _Rows] = {}


def put_back(*asked: object, establish: Callable[[], Pair]) -> Pair:
    """Return what `establish` returns, a root and an authority below it, for what was `asked` of them.

    There are no authorities yet.
    """
    # What else is in certificates, and opens their keys.
    asked = (*asked, settings.HOME, settings.KEY_PASSPHRASE, settings.PUBLIC_STATUS_URL, settings.NOT_BEFORE_BACKDATE)
    rows = _left.get(asked)
    if rows is None or not all(_key_is_there(each["key_name"]) for each in rows.authorities):
        pair = establish()
        _left[asked] = _read(pair)
        return pair
    with transaction.atomic(savepoint=False):
        return _insert(rows)


def _key_is_there(name: str) -> bool:
    return (settings.HOME / "keys" / f"{name}.pem").exists()


def _read(pair: Pair) -> _Rows:
    certificates = [each.certificate_id for each in pair]
    return _Rows(
        list(Authority.objects.filter(pk__in=[each.pk for each in pair]).order_by("pk").values()),
        list(Certificate.objects.filter(pk__in=certificates).order_by("pk").values()),
        [
            {name: value for name, value in event.items() if name not in {"id", "recorded_at"}}
            for event in AuditEvent.objects.filter(certificate__in=certificates).order_by("certificate").values()
        ],
    )


def _insert(rows: _Rows) -> Pair:
    with connection.cursor() as cursor:
        cursor.execute(_KEYS)
        root_id, own_id, *certificate_ids = cursor.fetchone()
    root, own = [
        Authority(**{**values, "id": key, "parent_id": above, "certificate_id": certificate})
        for values, key, above, certificate in zip(
            rows.authorities, (root_id, own_id), (None, root_id), certificate_ids, strict=True
        )
    ]
    certificates = [
        Certificate(**{**values, "id": key, "authority_id": root_id})
        for values, key in zip(rows.certificates, certificate_ids, strict=True)
    ]
    Authority.objects.bulk_create([root, own])
    Certificate.objects.bulk_create(certificates)
    AuditEvent.objects.bulk_create(
        AuditEvent(**{**values, "certificate_id": key})
        for values, key in zip(rows.events, certificate_ids, strict=True)
    )
    with connection.cursor() as cursor:
        # The root has numbered its own certificate and the one below it.
        cursor.execute("SELECT inventory_draw_issuance_indexes(%s, 2)", [root_id])
    own.parent = root
    root.certificate, own.certificate = certificates
    return root, own
