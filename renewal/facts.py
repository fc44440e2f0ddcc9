"""What the gate decides on, read for one request or a thousand in two statements, under locks.

The first statement takes locks that only requests take: one for the device, one for the key asked for. So requests of
one device, and requests for one key, come one after the other, and the second statement sees what each of them did.
Requests of different devices for different keys never wait for each other.

The second statement takes rows that others change, and reads them as they are once it has them: a revocation or a
suspension under way is waited for, and one that comes later waits for the certificate. In this order, which sightings
and revocations keep too, so that no two transactions wait for each other:

1. the locks of requests, by their numbers;
2. certificates FOR SHARE, from the newest to the oldest, those of external authorities last: the live ones of the
   device, its newest, all with the keys in question, and those of every authority above;
3. devices FOR NO KEY UPDATE, by their keys; a secret after its device;
4. presences of devices, by their keys, by the sighting that follows.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model

from inventory import pg_arrays
from inventory.models import Authority, Batch, Certificate, Device, Fleet, Profile, Site
from inventory.models.authority import ABOVE
from inventory.models.certificate import COMPROMISES, LIVE_STATES
from inventory.models.joined import join
from inventory.prepared import selected
from inventory.x509 import names
from inventory.x509.csr import CertificationRequest
from renewal.models import EnrolmentSecret
from renewal.requests import Enrolment, Renewal, Request, Vouched

# A name that is taken by nobody has no row; a secret that is wrong has one without it, and takes no lock.
_FIND = """
    WITH found AS MATERIALIZED (
        SELECT asked.number, c.device_id, c.id AS certificate_id, NULL::bigint AS secret_id, true AS known
        FROM unnest(%s::integer[], %s::bytea[]) AS asked (number, sha256)
        JOIN inventory_certificate c ON c.sha256 = asked.sha256 AND c.purpose = 'device'
        JOIN inventory_authority a ON a.id = c.authority_id AND a.key_name IS NOT NULL
        UNION ALL
        SELECT asked.number, d.id, NULL, s.id, s.id IS NOT NULL
        FROM unnest(%s::integer[], %s::bytea[], %s::varchar[], %s::varchar[], %s::varchar[])
            AS asked (number, sha256, protocol, serial, label)
        JOIN inventory_fleet f ON f.slug = asked.label
        JOIN inventory_device d ON d.fleet_id = f.id AND d.serial = asked.serial
        LEFT JOIN renewal_enrolmentsecret s
            ON s.sha256 = asked.sha256 AND s.device_id = d.id AND s.protocol = asked.protocol
        UNION ALL
        SELECT asked.number, d.id, NULL, s.id, true
        FROM unnest(%s::integer[], %s::bytea[], %s::varchar[], %s::varchar[]) AS asked (number, sha256, protocol, label)
        JOIN renewal_enrolmentsecret s ON s.sha256 = asked.sha256 AND s.protocol = asked.protocol
        JOIN inventory_device d ON d.id = s.device_id
        JOIN inventory_fleet f ON f.id = d.fleet_id AND f.slug = asked.label
        UNION ALL
        SELECT asked.number, d.id, current.id, NULL, true
        FROM unnest(%s::integer[], %s::varchar[], %s::varchar[]) AS asked (number, serial, label)
        JOIN inventory_fleet f ON f.slug = asked.label
        JOIN inventory_device d ON d.fleet_id = f.id AND d.serial = asked.serial
        LEFT JOIN LATERAL (
            SELECT c.id FROM inventory_certificate c
            JOIN inventory_authority a ON a.id = c.authority_id AND a.key_name IS NOT NULL
            WHERE c.device_id = d.id AND c.state = ANY(%s::varchar[]) AND c.not_after >= %s::timestamptz
            ORDER BY c.state = 'confirmed' DESC, c.issued_at DESC, c.id DESC LIMIT 1
        ) AS current ON true
    ), known AS MATERIALIZED (
        SELECT number, device_id FROM found WHERE known
    ), held AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(key)::text AS lock FROM (
            SELECT hashtextextended('certificates of device ' || device_id, 0) AS key FROM known
            UNION SELECT asked.key
            FROM unnest(%s::integer[], %s::bigint[]) AS asked (number, key) JOIN known USING (number)
            ORDER BY key
        ) AS keys
    )
    SELECT number, device_id, certificate_id, secret_id, known FROM found WHERE (SELECT count(lock) FROM held) >= 0"""


# What a certificate is decided and issued on, and no more: on the busiest route, each column costs time.
_OF_CERTIFICATE = (
    *("id", "authority_id", "serial", "device_id", "subject", "der", "spki_sha256", "not_before", "not_after"),
    *("issued_at", "state", "revocation_reason"),
)


class _Part(NamedTuple):
    """A model in the answer of `_READ`: where its columns are taken from. Those not named are deferred."""

    model: type[Model]
    alias: str
    attributes: tuple[str, ...] = ()
    # Columns that others change: taken from the locked row.
    changing: tuple[str, ...] = ()

    @property
    def fields(self) -> list[Any]:
        every = self.model._meta.concrete_fields
        return [field for field in every if not self.attributes or field.attname in self.attributes]

    @property
    def columns(self) -> str:
        return ", ".join(
            f"{'own' if field.attname in self.changing else self.alias}.{field.column}" for field in self.fields
        )


_PARTS = {
    "device": _Part(Device, "d"),
    "fleet": _Part(Fleet, "f"),
    "profile": _Part(Profile, "p"),
    "batch": _Part(Batch, "b"),
    "site": _Part(Site, "s"),
    "signer": _Part(Authority, "signer"),
    "signer_certificate": _Part(Certificate, "signed", ("id", "der", "not_after")),
    "issuer": _Part(Authority, "issuer", ("id", "slug")),
    "certificate": _Part(Certificate, "c", _OF_CERTIFICATE, ("state", "revocation_reason")),
}
_NAMES = {part: [field.attname for field in _PARTS[part].fields] for part in _PARTS}
# Those that a thousand requests have in common: each is made once for all of them.
_COMMON = frozenset(_PARTS) - {"device", "certificate"}
# Set-based throughout: each fact of a thousand requests is one join. `locked` alone says how a certificate stands.
_READ = f"""
    WITH RECURSIVE asked AS MATERIALIZED (
        SELECT asked.*, d.fleet_id, f.authority_id AS signer_id, c.authority_id AS issuer_id,
               c.spki_sha256 AS own_spki_sha256
        FROM unnest(%s::integer[], %s::bigint[], %s::bigint[], %s::bytea[])
            AS asked (number, device_id, certificate_id, spki_sha256)
        JOIN inventory_device d ON d.id = asked.device_id
        JOIN inventory_fleet f ON f.id = d.fleet_id
        LEFT JOIN inventory_certificate c ON c.id = asked.certificate_id
    ), {ABOVE.format(start="a.id IN (SELECT signer_id FROM asked UNION SELECT issuer_id FROM asked)")},
    newest AS MATERIALIZED (
        SELECT of.device_id, last.id FROM (SELECT DISTINCT device_id FROM asked) AS of
        CROSS JOIN LATERAL (
            SELECT c.id FROM inventory_certificate c WHERE c.device_id = of.device_id
            ORDER BY c.issued_at DESC, c.id DESC LIMIT 1
        ) AS last
    ), wanted AS MATERIALIZED (
        SELECT certificate_id AS id FROM asked
        UNION SELECT certificate_id FROM above
        UNION SELECT id FROM newest
        UNION SELECT c.id FROM asked JOIN inventory_certificate c
            ON c.device_id = asked.device_id AND c.state = ANY(%s::varchar[])
        UNION SELECT c.id FROM asked JOIN inventory_certificate c ON c.spki_sha256 = asked.spki_sha256
        UNION SELECT c.id FROM asked JOIN inventory_certificate c ON c.spki_sha256 = asked.own_spki_sha256
    ), locked AS MATERIALIZED (
        SELECT c.id, c.device_id, c.predecessor_id, c.spki_sha256, c.not_after, c.state, c.revocation_reason
        FROM inventory_certificate c WHERE c.id IN (SELECT id FROM wanted)
        ORDER BY c.purpose = 'device' AND c.profile_id IS NULL, c.id DESC FOR SHARE OF c
    ), devices AS MATERIALIZED (
        SELECT d.* FROM inventory_device d
        WHERE d.id IN (SELECT device_id FROM asked) AND (SELECT count(*) FROM locked) >= 0
        ORDER BY d.id FOR NO KEY UPDATE OF d
    ), distrusted AS MATERIALIZED (
        SELECT DISTINCT ON (above.authority_id) above.authority_id, a.slug
        FROM above JOIN locked ON locked.id = above.certificate_id AND locked.state = 'revoked'
        JOIN inventory_authority a ON a.id = above.id
        ORDER BY above.authority_id, above.distance
    ), revoked AS MATERIALIZED (
        SELECT newest.device_id FROM newest JOIN locked ON locked.id = newest.id AND locked.state = 'revoked'
        WHERE NOT EXISTS (SELECT FROM inventory_case k WHERE k.certificate_id = newest.id AND k.outcome = 'cleared')
    ), key AS MATERIALIZED (
        SELECT asked.number,
               bool_or(locked.revocation_reason = ANY(%s::varchar[])) AS compromised,
               bool_or(locked.id IS DISTINCT FROM asked.certificate_id) AS used,
               min(locked.id) FILTER (WHERE locked.device_id <> asked.device_id) AS held_by,
               min(locked.id) FILTER (WHERE locked.predecessor_id = asked.certificate_id) AS answer,
               max(locked.id) FILTER (WHERE locked.device_id = asked.device_id AND locked.state = ANY(%s::varchar[])
                                      AND locked.not_after >= %s::timestamptz) AS own
        FROM asked JOIN locked USING (spki_sha256) GROUP BY asked.number
    ), compromised AS MATERIALIZED (
        SELECT DISTINCT spki_sha256 FROM locked WHERE revocation_reason = ANY(%s::varchar[])
    ), successors AS MATERIALIZED (
        SELECT predecessor_id, count(*) AS number FROM locked
        WHERE state = 'issued' AND not_after >= %s::timestamptz GROUP BY predecessor_id
    ), unused AS MATERIALIZED (
        SELECT device_id, count(*) AS number FROM locked
        WHERE state = 'issued' AND not_after >= %s::timestamptz GROUP BY device_id
    ), misnamed AS MATERIALIZED (
        SELECT DISTINCT asked.number FROM unnest(%s::integer[], %s::varchar[]) AS claim (number, name)
        JOIN asked USING (number)
        JOIN inventory_device other
            ON other.fleet_id = asked.fleet_id AND other.serial = claim.name AND other.id <> asked.device_id
    )
    SELECT asked.number, issuer_above.slug, signer_above.slug, revoked.device_id IS NOT NULL, coalesce(key.used, false),
           coalesce(key.compromised, false), key.held_by, key.answer, answer.state, key.own,
           compromised.spki_sha256 IS NOT NULL, coalesce(successors.number, 0), coalesce(unused.number, 0),
           misnamed.number IS NOT NULL,
           {", ".join(part.columns for part in _PARTS.values())}
    FROM asked
    JOIN devices d ON d.id = asked.device_id
    JOIN inventory_fleet f ON f.id = d.fleet_id
    JOIN inventory_profile p ON p.id = f.profile_id
    JOIN inventory_authority signer ON signer.id = f.authority_id
    LEFT JOIN inventory_certificate signed ON signed.id = signer.certificate_id
    LEFT JOIN inventory_batch b ON b.id = d.batch_id
    LEFT JOIN inventory_site s ON s.id = d.site_id
    LEFT JOIN inventory_certificate c ON c.id = asked.certificate_id
    LEFT JOIN locked own ON own.id = asked.certificate_id
    LEFT JOIN inventory_authority issuer ON issuer.id = c.authority_id
    LEFT JOIN distrusted issuer_above ON issuer_above.authority_id = asked.issuer_id
    LEFT JOIN distrusted signer_above ON signer_above.authority_id = f.authority_id
    LEFT JOIN revoked ON revoked.device_id = asked.device_id
    LEFT JOIN key ON key.number = asked.number
    LEFT JOIN locked answer ON answer.id = key.answer
    LEFT JOIN compromised ON compromised.spki_sha256 = asked.own_spki_sha256
    LEFT JOIN successors ON successors.predecessor_id = asked.certificate_id
    LEFT JOIN unused ON unused.device_id = asked.device_id
    LEFT JOIN misnamed ON misnamed.number = asked.number"""  # noqa: S608 - of constants


class KeyFacts(NamedTuple):
    """What the inventory knows of the key asked for, the certificate that authenticated aside."""

    # Whether any other certificate has it, whosever.
    used: bool
    compromised: bool
    # A certificate of another device that has it.
    held_by: int | None
    # The certificate that answered the same request before, and its state.
    answer: int | None
    answer_state: str | None
    # The newest certificate of the device itself that has it, live and not ended.
    own: int | None

    @property
    def answer_is_live(self) -> bool:
        return self.answer_state in LIVE_STATES


class Facts(NamedTuple):
    """What is true of a request for as long as its transaction lasts.

    `device` has its fleet with profile and authority loaded, its batch and its site; `certificate`, which
    authenticated, has its authority. A revoked authority is named by its slug: the nearest, from the one that signed
    `certificate` (`issuer_revoked`) or will sign the next (`signer_revoked`) up to the root.
    """

    device: Device
    certificate: Certificate | None
    issuer_revoked: str | None
    signer_revoked: str | None
    # The newest certificate of the device was revoked, and nobody has cleared the device since.
    device_revoked: bool
    key: KeyFacts
    # The key of `certificate` stands in some certificate that was revoked because it had leaked.
    certificate_key_compromised: bool
    # Renewals of `certificate` that were never used and have not ended.
    unconfirmed: int
    # The same of all certificates of the device.
    unused: int
    # The request names another device of the fleet.
    names_another: bool


class Sender(NamedTuple):
    """Whose request it is, by the keys of their rows.

    Who is not `known` has neither a certificate nor a secret, and only names the device. For whom somebody vouches,
    `certificate_id` is the one that the device uses, or else the newest that it might.
    """

    device_id: int
    certificate_id: int | None
    secret_id: int | None
    known: bool


def find(requests: Sequence[Request], now: datetime) -> dict[int, Sender]:
    """Return who sent requests, by the numbers of these, and take the locks of their devices and keys. One statement.

    Missing is who shows a certificate that is of no device, or that we did not sign, and who names no device of the
    fleet. The whole certificate is compared, not its serial or subject: a look-alike from elsewhere is not in the
    inventory, and one of an external authority is only tracked there. Call it once in a transaction, for all of its
    requests.
    """
    renewals = {number: each for number, each in enumerate(requests) if isinstance(each, Renewal)}
    enrolments = {number: each for number, each in enumerate(requests) if isinstance(each, Enrolment)}
    named = {number: each for number, each in enrolments.items() if each.serial is not None}
    unnamed = {number: each for number, each in enrolments.items() if each.serial is None}
    vouched = {number: each for number, each in enumerate(requests) if isinstance(each, Vouched) and each.in_reach}
    rows = selected(
        _FIND,
        [
            pg_arrays.integers(renewals),
            pg_arrays.octets(each.sha256 for each in renewals.values()),
            pg_arrays.integers(named),
            pg_arrays.octets(each.secret_sha256 for each in named.values()),
            [each.protocol.value for each in named.values()],
            [each.serial for each in named.values()],
            [each.label for each in named.values()],
            pg_arrays.integers(unnamed),
            pg_arrays.octets(each.secret_sha256 for each in unnamed.values()),
            [each.protocol.value for each in unnamed.values()],
            [each.label for each in unnamed.values()],
            pg_arrays.integers(vouched),
            [each.serial for each in vouched.values()],
            [each.label for each in vouched.values()],
            list(LIVE_STATES),
            now,
            pg_arrays.integers(range(len(requests))),
            pg_arrays.integers(_lock_number(each.request) for each in requests),
        ],
    )
    return {number: Sender(*keys) for number, *keys in rows}


def secrets(senders: Iterable[Sender]) -> dict[int, EnrolmentSecret]:
    """Return the secrets by which `senders` ask, spent or not, locked. Call it after `read`. At most one statement."""
    keys = {sender.secret_id for sender in senders if sender.secret_id is not None}
    if not keys:
        return {}
    locked = EnrolmentSecret.objects.select_related("certificate").select_for_update(of=("self",), no_key=True)
    return {secret.pk: secret for secret in locked.filter(pk__in=keys).order_by("pk")}


def _lock_number(request: CertificationRequest) -> int:
    return int.from_bytes(request.spki_sha256[:8], signed=True)


def read(senders: Mapping[int, Sender], requests: Sequence[Request], now: datetime) -> dict[int, Facts]:
    """Return the facts of the requests that have these numbers, locked. One statement.

    Of several requests for one device or one key only the first may be decided on: read again for the next, when that
    one was carried out. The first reading must be of all, so that the locks are taken in their order.
    """
    if not senders:
        return {}
    asked = {number: requests[number].request for number in senders}
    claims = [(number, name) for number, request in asked.items() for name in _claimed_names(request)]
    compromises = list(COMPROMISES)
    rows = selected(
        _READ,
        [
            pg_arrays.integers(senders),
            pg_arrays.integers(sender.device_id for sender in senders.values()),
            pg_arrays.integers(sender.certificate_id for sender in senders.values()),
            pg_arrays.octets(request.spki_sha256 for request in asked.values()),
            list(LIVE_STATES),
            compromises,
            list(LIVE_STATES),
            now,
            compromises,
            now,
            now,
            pg_arrays.integers(number for number, _name in claims),
            [name for _number, name in claims],
        ],
    )
    known: dict[tuple[str, Any], Any] = {}
    return {row[0]: _facts(row, known) for row in rows}


def _claimed_names(request: CertificationRequest) -> list[str]:
    # No device is called by a NUL: PostgreSQL cannot hold one, nor be asked for it.
    return [name for name in names.common_names(request.subject) if "\0" not in name]


def _facts(row: tuple[Any, ...], known: dict[tuple[str, Any], Any]) -> Facts:
    (_number, issuer_revoked, signer_revoked, device_revoked, used, compromised, held_by, answer, answer_state, own,
     own_compromised, unconfirmed, unused, names_another, *columns) = row  # fmt: skip
    parts = _models(columns, known)
    device, fleet, signer = parts["device"], parts["fleet"], parts["signer"]
    join(signer, certificate=parts["signer_certificate"])
    join(fleet, profile=parts["profile"], authority=signer)
    join(device, fleet=fleet, batch=parts["batch"], site=parts["site"])
    certificate = parts["certificate"]
    if certificate is not None:
        join(certificate, authority=parts["issuer"], device=device)
    return Facts(
        device=device,
        certificate=certificate,
        issuer_revoked=issuer_revoked,
        signer_revoked=signer_revoked,
        device_revoked=device_revoked,
        key=KeyFacts(used, compromised, held_by, answer, answer_state, own),
        certificate_key_compromised=own_compromised,
        unconfirmed=unconfirmed,
        unused=unused,
        names_another=names_another,
    )


def _models(columns: Sequence[Any], known: dict[tuple[str, Any], Any]) -> dict[str, Any]:
    """Return the models of a row by the names of their parts, None where a join found nothing.

    `known` has those of earlier rows that rows have in common.
    """
    found: dict[str, Any] = {}
    start = 0
    for part, attributes in _NAMES.items():
        end = start + len(attributes)
        key = part, columns[start]
        model = known.get(key) if key[1] is not None else None
        if model is None and key[1] is not None:
            model = _PARTS[part].model.from_db(DEFAULT_DB_ALIAS, attributes, columns[start:end])
            if part in _COMMON:
                known[key] = model
        found[part] = model
        start = end
    return found
