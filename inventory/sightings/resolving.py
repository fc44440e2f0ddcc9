"""Looks up the certificates and devices that a batch of sightings names, in three or four statements."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from psycopg.types.datetime import TimestamptzLoader

from inventory import pg_arrays
from inventory.models import Fleet, FleetIds
from inventory.sightings.classification import Found, SeenCertificate, SeenDevice
from inventory.sightings.identifiers import DeviceSerial, Fingerprint, IssuerAndSerial, MqttId, Name, Sighting
from inventory.sightings.issuers import Issuers

_CERTIFICATE = """
    c.id, c.sha256, c.state, c.issued_at, c.not_before, c.not_after, c.revoked_at, c.authority_id,
    d.id, d.fleet_id, d.mqtt_id, d.status, p.last_seen_at"""
_NO_CERTIFICATE = """
    NULL::bigint, NULL::bytea, NULL::varchar, NULL::timestamptz, NULL::timestamptz, NULL::timestamptz,
    NULL::timestamptz, NULL::bigint, d.id, d.fleet_id, d.mqtt_id, d.status, p.last_seen_at"""
# Each name of a batch once. The arms of kinds that the batch does not hold cost nothing.
_FIND = f"""
    SELECT asked.number, {_CERTIFICATE}
    FROM unnest(%s::integer[], %s::bytea[]) AS asked (number, sha256)
    JOIN inventory_certificate c ON c.sha256 = asked.sha256
    LEFT JOIN inventory_device d ON d.id = c.device_id
    LEFT JOIN inventory_devicepresence p ON p.device_id = d.id
    UNION ALL
    SELECT asked.number, {_CERTIFICATE}
    FROM unnest(%s::integer[], %s::bigint[], %s::varchar[]) AS asked (number, authority_id, serial)
    JOIN inventory_certificate c ON c.authority_id = asked.authority_id AND c.serial = asked.serial
    LEFT JOIN inventory_device d ON d.id = c.device_id
    LEFT JOIN inventory_devicepresence p ON p.device_id = d.id
    UNION ALL
    SELECT asked.number, {_NO_CERTIFICATE}
    FROM unnest(%s::integer[], %s::bigint[], %s::varchar[]) AS asked (number, fleet_id, serial)
    JOIN inventory_device d ON d.fleet_id = asked.fleet_id AND d.serial = asked.serial
    JOIN inventory_devicepresence p ON p.device_id = d.id
    UNION ALL
    SELECT asked.number, {_NO_CERTIFICATE}
    FROM unnest(%s::integer[], %s::bigint[], %s::varchar[]) AS asked (number, fleet_id, mqtt_id)
    JOIN inventory_device d ON d.fleet_id = asked.fleet_id AND d.mqtt_id = asked.mqtt_id AND d.mqtt_id <> ''
    JOIN inventory_devicepresence p ON p.device_id = d.id"""  # noqa: S608 - of the pieces above


@dataclass
class _Asked:
    """The columns of one kind of name, and the number of the name in each row."""

    numbers: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, number: int, parent: int, value: Any) -> None:
        self.numbers.append(number)
        self.parents.append(parent)
        self.values.append(value)


def resolve(batch: Sequence[Sighting], within: FleetIds = None) -> dict[Name, Found]:
    """Return what each name refers to within the fleets `within`; unknown names are missing."""
    names = list(dict.fromkeys(sighting.name for sighting in batch))
    fleets = dict(Fleet.objects.of_fleets(within).values_list("slug", "id"))
    issuers = Issuers()
    fingerprints, serials, devices, mqtt_ids = _Asked(), _Asked(), _Asked(), _Asked()
    for number, name in enumerate(names):
        match name:
            case Fingerprint(sha256):
                fingerprints.add(number, 0, sha256)
            case IssuerAndSerial(issuer, serial):
                for authority_id in issuers.named(issuer):
                    serials.add(number, authority_id, serial)
            case DeviceSerial(fleet, serial) if fleet in fleets:
                devices.add(number, fleets[fleet], serial)
            case MqttId(fleet, mqtt_id) if fleet in fleets:
                mqtt_ids.add(number, fleets[fleet], mqtt_id)
    parameters: list[Any] = [pg_arrays.integers(fingerprints.numbers), pg_arrays.octets(fingerprints.values)]
    for asked in (serials, devices, mqtt_ids):
        parameters += [pg_arrays.integers(asked.numbers), pg_arrays.integers(asked.parents), asked.values]
    slugs = {fleet_id: slug for slug, fleet_id in fleets.items()}
    return {names[number]: found for number, found in _found(parameters, slugs, issuers)}


def selected(query: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the rows of a query. psycopg's own loader of times takes a tenth of the time of Django's."""
    with connection.cursor() as cursor:
        cursor.cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
        cursor.execute(query, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _found(parameters: Sequence[Any], slugs: Mapping[int, str], issuers: Issuers) -> Iterator[tuple[int, Found]]:
    for (
        number,
        pk,
        sha256,
        state,
        issued_at,
        begin,
        end,
        revoked_at,
        issuer,
        device_id,
        fleet_id,
        mqtt_id,
        status,
        seen_at,
    ) in selected(_FIND, parameters):
        if device_id and fleet_id not in slugs:
            continue
        certificate = device = None
        if pk:
            # Nobody trusts what stands below a revoked authority.
            moments = [moment for moment in (revoked_at, issuers.revoked_at.get(issuer)) if moment]
            certificate = SeenCertificate(pk, sha256, state, issued_at, begin, end, min(moments, default=None))
        if device_id:
            device = SeenDevice(device_id, slugs[fleet_id], mqtt_id, status, seen_at)
        yield number, Found(certificate, device)
