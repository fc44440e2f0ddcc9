"""Writing down what sightings tell: one at a time on the way of a request, or by the thousand from those who report.

Locks are taken as everywhere: certificates from the newest to the oldest, those of external authorities after ours,
then presences of devices. In another order a device that uses its new certificate and renews by its old one at once
would be a deadlock. No device itself is locked, but by the counters when it is seen for the first time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import NamedTuple

import structlog
from django.db import connection, transaction

from inventory import pg_arrays, prepared
from inventory.audit.record import SYSTEM, Actor, Entry, entry, record_by_copy, record_selected
from inventory.models import AuditAction, Authority, Certificate, CertificateState, Device, FleetIds
from inventory.models.certificate import LIVE_STATES
from inventory.models.presence import MOST_WAKES, WAKE_AFTER
from inventory.models.sighting import Oddity
from inventory.prepared import Statement
from inventory.sightings.classification import Found, Result, SightingOutcome, Verdict, judge
from inventory.sightings.first_use import Confirmations, Live, Use
from inventory.sightings.identifiers import Sighting
from inventory.sightings.resolving import resolve, selected

log = structlog.get_logger(__name__)

# Well under a second, for as long as certificates and devices stay locked.
MOST_IN_A_BATCH = 10_000
_CONFIRMED_RESULT = Result(SightingOutcome.CONFIRMED)

# None that is newer than what was used: the gate may hold the used one and want only what is older. What external
# authorities signed, and has no profile, is older than its key says; the gate and revocations never begin with it.
_LOCK_CERTIFICATES = """
    SELECT c.device_id, c.issued_at, c.id, c.state
    FROM unnest(%s::bigint[], %s::timestamptz[], %s::bigint[]) AS used (device_id, issued_at, id)
    JOIN inventory_certificate c
        ON c.device_id = used.device_id AND (c.issued_at, c.id) <= (used.issued_at, used.id)
    WHERE c.state = ANY(%s::varchar[])
    ORDER BY c.profile_id IS NULL, c.id DESC FOR NO KEY UPDATE OF c"""
_CHANGE_STATES = """
    UPDATE inventory_certificate c
    SET state = CASE WHEN changed.successor_id IS NULL THEN 'confirmed' ELSE 'superseded' END,
        activated_at = coalesce(changed.activated_at, c.activated_at),
        successor_id = coalesce(changed.successor_id, c.successor_id)
    FROM unnest(%s::bigint[], %s::timestamptz[], %s::bigint[]) AS changed (id, activated_at, successor_id)
    WHERE c.id = changed.id"""
_CONFIRMED = """
    SELECT used.at, c.subject AS object_name, c.device_id, c.id AS certificate_id,
           jsonb_build_object('serial', c.serial, 'superseded', used.superseded) AS details
    FROM unnest(%s::bigint[], %s::timestamptz[], %s::integer[]) AS used (id, at, superseded)
    JOIN inventory_certificate c ON c.id = used.id"""
# Locked in the order of their keys first: an UPDATE with a join takes rows in whatever order its plan gives. What comes
# late is older than the last sighting, and no wake.
_DEVICES_SEEN = f"""
    WITH seen AS MATERIALIZED (
        SELECT p.device_id, seen.at FROM inventory_devicepresence p
        JOIN unnest(%s::bigint[], %s::timestamptz[]) AS seen (id, at) ON seen.id = p.device_id
        WHERE p.last_seen_at IS NULL OR p.last_seen_at < seen.at
        ORDER BY p.device_id FOR NO KEY UPDATE OF p
    )
    UPDATE inventory_devicepresence p
    SET last_seen_at = seen.at,
        wakes = CASE WHEN seen.at - p.last_seen_at < interval '{WAKE_AFTER.total_seconds():.0f} s' THEN p.wakes
            ELSE floor(extract(epoch FROM seen.at) / 60)::integer || p.wakes[:{MOST_WAKES - 1}] END
    FROM seen
    WHERE p.device_id = seen.device_id AND (p.last_seen_at IS NULL OR p.last_seen_at < seen.at)"""  # noqa: S608 - of constants
_COUNT_ODD = """
    INSERT INTO inventory_unexpectedsighting AS known
        (source, oddity, name, certificate_id, device_id, first_seen_at, last_seen_at, count)
    SELECT %s, oddity, name, certificate_id, device_id, first_seen_at, last_seen_at, count
    FROM unnest(%s::varchar[], %s::varchar[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[],
                %s::bigint[])
        AS odd (oddity, name, certificate_id, device_id, first_seen_at, last_seen_at, count)
    ORDER BY oddity, name
    ON CONFLICT (source, oddity, name) DO UPDATE SET
        first_seen_at = least(known.first_seen_at, excluded.first_seen_at),
        last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at),
        count = known.count + excluded.count
    RETURNING oddity, name, xmax = 0 AS is_new"""


def find_usable(sha256: bytes, now: datetime) -> Certificate | None:
    """Return the device certificate with this fingerprint if it can authenticate its device at `now`. One query.

    One that an external authority signed cannot: nobody here answers for it.
    """
    return (
        Certificate.objects.of_devices()
        .valid(now)
        .filter(sha256=sha256, authority__key_name__isnull=False)
        .exclude(authority__in=Authority.objects.revoked())
        .select_related("device")
        .first()
    )


@dataclass(frozen=True, slots=True)
class CertificateUse:
    """A device authenticated here with `certificate`; `actor` is the device, and from where it came."""

    certificate: Certificate
    device: Device
    actor: Actor


def record_sighting(certificate: Certificate, device: Device, *, now: datetime, actor: Actor) -> bool:
    """Note that `certificate` of `device` was used at `now`. Return whether this was its first use."""
    return bool(record_uses([CertificateUse(certificate, device, actor)], now))


def record_uses(uses: Sequence[CertificateUse], now: datetime) -> set[int]:
    """Note that certificates were used at `now`. Return those, by their keys, of which this was the first use.

    The first use confirms a certificate and supersedes the older ones of its device: until then the device may depend
    on them. A sighting older than the one we know changes nothing. One statement, three more on first uses.
    """
    with transaction.atomic(savepoint=False):
        confirmed = confirm_first_uses(uses, now)
        if uses:
            prepared.execute(*seen(uses, now))
    return confirmed


def confirm_first_uses(uses: Sequence[CertificateUse], now: datetime) -> set[int]:
    """Do the part of `record_uses` that first uses need. Call it in a transaction, and have devices `seen` after it."""
    new = {use.certificate.pk: use for use in uses if use.certificate.state == CertificateState.ISSUED}
    confirmations = _confirm(Use(use.device.pk, pk, use.certificate.issued_at, now) for pk, use in new.items())
    record_by_copy([_confirmed(new[pk], superseded, now) for pk, superseded in confirmations.superseded.items()])
    return set(confirmations.at)


def seen(uses: Sequence[CertificateUse], now: datetime) -> Statement:
    """Return the other part of `record_uses`, to be sent with what follows: that the devices were seen at `now`."""
    return _seen({use.device.pk: now for use in uses})


def _confirmed(use: CertificateUse, superseded: int, now: datetime) -> Entry:
    certificate = use.certificate
    return entry(
        AuditAction.CERTIFICATE_CONFIRMED,
        now=now,
        actor=use.actor,
        object_name=certificate.subject,
        device_id=use.device.pk,
        certificate_id=certificate.pk,
        details={"serial": certificate.serial, "superseded": superseded},
    )


def record_sightings(batch: Sequence[Sighting], now: datetime, actor: Actor, within: FleetIds = None) -> list[Result]:
    """Note a batch of sightings, as `record_sighting` would one by one from the oldest; return what became of each.

    `now` is when the batch came: what lies further in the future than clocks differ is refused. `actor` reports it,
    and of other fleets than those `within` nothing is known to him, her or it.
    At most nine statements and one transaction, whatever the number. Telling it again changes nothing, but for the
    count of unexpected sightings. Raises ValueError for more than MOST_IN_A_BATCH.
    """
    if len(batch) > MOST_IN_A_BATCH:
        raise ValueError(f"A batch holds at most {MOST_IN_A_BATCH} sightings; this one has {len(batch)}.")
    if not batch:
        return []
    with transaction.atomic(savepoint=False):
        found = resolve(batch, within)
        judged = [
            _Judged(sighting, of_name := found.get(sighting.name), judge(sighting, of_name, now)) for sighting in batch
        ]
        confirmations = _confirm(_first_uses(judged))
        if confirmations.at:
            record_selected(AuditAction.CERTIFICATE_CONFIRMED, _CONFIRMED, confirmations.confirmed(), actor=actor)
        _move_last_seen(judged)
        _count_odd(judged, actor)
    return _results(judged, confirmations.at)


class _Judged(NamedTuple):
    sighting: Sighting
    found: Found | None
    verdict: Verdict


def _first_uses(judged: Iterable[_Judged]) -> Iterator[Use]:
    for sighting, found, verdict in judged:
        if verdict.first_use and found and found.certificate and found.device:
            yield Use(found.device.id, found.certificate.id, found.certificate.issued_at, sighting.at)


def _confirm(uses: Iterable[Use]) -> Confirmations:
    """Confirm certificates by their first use and supersede the older ones; the caller tells of it. Two statements."""
    by_device: dict[int, list[Use]] = {}
    for use in uses:
        by_device.setdefault(use.device_id, []).append(use)
    confirmations = Confirmations()
    if not by_device:
        return confirmations
    live = _lock_live([max(of_device, key=lambda use: use.age) for of_device in by_device.values()])
    for device_id, of_device in by_device.items():
        confirmations.add(of_device, live.get(device_id, ()))
    if confirmations.at:
        with connection.cursor() as cursor:
            cursor.execute(_CHANGE_STATES, confirmations.changes())
    return confirmations


def _lock_live(newest: Sequence[Use]) -> dict[int, list[Live]]:
    """Lock the live certificates of devices, of each up to the newest that was used; return them by device."""
    live: dict[int, list[Live]] = {}
    used = (
        pg_arrays.integers(use.device_id for use in newest),
        pg_arrays.moments(use.issued_at for use in newest),
        pg_arrays.integers(use.certificate_id for use in newest),
    )
    for device_id, *certificate in selected(_LOCK_CERTIFICATES, [*used, list(LIVE_STATES)]):
        live.setdefault(device_id, []).append(Live(*certificate))
    return live


def _move_last_seen(judged: Iterable[_Judged]) -> None:
    newest: dict[int, datetime] = {}
    for sighting, found, verdict in judged:
        if verdict.device_lives and found and found.device:
            known = newest.get(found.device.id)
            if known is None or known < sighting.at:
                newest[found.device.id] = sighting.at
    if newest:
        prepared.execute(*_seen(newest))


def _seen(newest: Mapping[int, datetime]) -> Statement:
    """Return what moves the last sightings of devices, by their keys, where these are newer."""
    return Statement(_DEVICES_SEEN, [pg_arrays.integers(newest), pg_arrays.moments(newest.values())])


@dataclass
class _Odd:
    """The columns of what was seen and should not have been."""

    oddity: Oddity
    name: str
    certificate_id: int | None
    device_id: int | None
    first_seen_at: datetime
    last_seen_at: datetime
    count: int = 0

    def add(self, at: datetime) -> None:
        self.first_seen_at, self.last_seen_at = min(self.first_seen_at, at), max(self.last_seen_at, at)
        self.count += 1


def _count_odd(judged: Iterable[_Judged], actor: Actor) -> None:
    """Write down what should not have been seen, and audit what was never seen before. Two statements."""
    counts: dict[tuple[Oddity, str], _Odd] = {}
    for sighting, found, verdict in judged:
        if verdict.oddity is None:
            continue
        certificate, device = (found.certificate, found.device) if found else (None, None)
        name = f"sha256:{certificate.sha256.hex()}" if certificate else str(sighting.name)[:600]
        keys = (certificate.id if certificate else None, device.id if device else None)
        odd = counts.setdefault(
            (verdict.oddity, name),
            _Odd(verdict.oddity, name, *keys, first_seen_at=sighting.at, last_seen_at=sighting.at),
        )
        odd.add(sighting.at)
    _store_odd(counts, actor.name, dict.fromkeys(counts, actor))


def _store_odd(
    counts: Mapping[tuple[Oddity, str], _Odd], source: str, actors: Mapping[tuple[Oddity, str], Actor]
) -> None:
    if not counts:
        return
    odd_columns = [[getattr(each, column.name) for each in counts.values()] for column in fields(_Odd)]
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_ODD, [source[:150], *odd_columns])
        new = [(Oddity(oddity), name) for oddity, name, is_new in cursor.fetchall() if is_new]
    record_by_copy([_unexpected(counts[each], source, actors[each]) for each in new])
    if new:
        log.warning("unexpected sightings", source=source, new=len(new))


def _unexpected(odd: _Odd, source: str, actor: Actor) -> Entry:
    return entry(
        AuditAction.UNEXPECTED_SIGHTING,
        now=odd.first_seen_at,
        actor=actor,
        object_name=odd.name,
        device_id=odd.device_id,
        certificate_id=odd.certificate_id,
        details={"oddity": odd.oddity.value, "source": source[:150]},
    )


@dataclass(frozen=True, slots=True)
class OddKey:
    """A key that was met where it should not be, and who showed it.

    `name` says which, and makes it one thing however often it is met.
    """

    oddity: Oddity
    name: str
    certificate_id: int | None
    device_id: int | None
    actor: Actor


def record_odd_keys(met: Iterable[OddKey], now: datetime) -> None:
    """Note keys that the portal itself met where they should not be. At most two statements.

    All are one alert each kind, whoever showed them: a thousand cloned devices are one event.
    """
    counts: dict[tuple[Oddity, str], _Odd] = {}
    actors: dict[tuple[Oddity, str], Actor] = {}
    for each in met:
        met_as = (each.oddity, each.name)
        odd = counts.setdefault(met_as, _Odd(*met_as, each.certificate_id, each.device_id, now, now))
        odd.add(now)
        actors.setdefault(met_as, each.actor)
    _store_odd(counts, SYSTEM.name, actors)


def _results(judged: Iterable[_Judged], confirmed: Mapping[int, datetime]) -> list[Result]:
    """Return the result of each sighting; of several of one new certificate, the oldest is the first use."""
    left = dict(confirmed)
    results = []
    for sighting, found, verdict in judged:
        result = verdict.result
        if verdict.first_use and found and found.certificate and left.get(found.certificate.id) == sighting.at:
            del left[found.certificate.id]
            result = _CONFIRMED_RESULT
        results.append(result)
    return results
