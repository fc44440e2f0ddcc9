"""Search for devices, certificates and events by any identifier: serial, phone number, fingerprint, batch, site.

Every question is answered from an index, in two steps: first at most `LIMIT` keys, then the rows of a list.
"""

import re
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from inventory.lists.cursors import sort_by
from inventory.models import AuditEvent, Batch, Certificate, Device, FleetIds, Site
from inventory.x509.serials import hexadecimal, stored_forms

LIMIT = 200
# A shorter one is a serial only when it is a whole one: it would name thousands by chance.
_SHORTEST_SERIAL_PREFIX = 6
_SHA256_DIGITS = 64
# Texts of events have no index: it would be written with each renewal. So many of the latest are read instead; of no
# device are few of all, so these reach further back.
_LATEST, _LATEST_OF_NO_DEVICE = 10_000, 20_000


@dataclass(frozen=True)
class Found:
    """What a text may name. Batches and sites are looked for only when it names no device and no certificate."""

    device_ids: tuple[int, ...] = ()
    certificate_ids: tuple[int, ...] = ()
    batch_ids: tuple[int, ...] = ()
    site_ids: tuple[int, ...] = ()

    @property
    def cut(self) -> bool:
        """Whether the search stopped at `LIMIT`, so that more may match."""
        return max(len(self.device_ids), len(self.certificate_ids)) >= LIMIT


def find(term: str, fleets: FleetIds = None) -> Found:
    """Return what `term` names: the beginning of a device serial, a whole MQTT id, phone number, batch or site, or a
    certificate by its serial, its beginning, its fingerprint or that of its key. Only what is of `fleets` is found,
    and it is found as if there were nothing else.
    """
    term = term.strip()
    if not term or "\x00" in term:
        return Found()
    devices, certificates = _device_ids(term, fleets), _certificate_ids(term, fleets)
    if devices or certificates:
        return Found(tuple(devices), tuple(certificates))
    return Found(
        batch_ids=tuple(Batch.objects.of_fleets(fleets).filter(name=term).values_list("id", flat=True)[:LIMIT]),
        site_ids=tuple(Site.objects.of_fleets(fleets).filter(name=term).values_list("id", flat=True)[:LIMIT]),
    )


def devices_named(devices: QuerySet[Device], term: str, fleets: FleetIds = None) -> QuerySet[Device]:
    """Narrow to the devices that `term` names, by themselves, by a certificate of theirs, or by batch or site."""
    found = find(term, fleets)
    if found.batch_ids or found.site_ids:
        return devices.filter(_in_group(found, ""))
    holders = Certificate.objects.filter(pk__in=found.certificate_ids, device__isnull=False)
    return devices.filter(pk__in={*found.device_ids, *holders.values_list("device_id", flat=True)})


def certificates_named(
    certificates: QuerySet[Certificate], term: str, fleets: FleetIds = None
) -> QuerySet[Certificate]:
    """Narrow to the certificates that `term` names, by themselves, by their device, or by its batch or site."""
    found = find(term, fleets)
    if found.batch_ids or found.site_ids:
        return certificates.filter(_in_group(found, "device__"))
    of_devices = Certificate.objects.filter(device_id__in=found.device_ids).values_list("id", flat=True)
    return certificates.filter(pk__in={*found.certificate_ids, *of_devices})


def events_named(events: QuerySet[AuditEvent], term: str, fleets: FleetIds = None) -> QuerySet[AuditEvent]:
    """Narrow to the latest of `events` that `term` names: at most `LIMIT` each by device, certificate, actor and text.

    By actor is the whole name of who acted. By text is the id of a request, or a part of the name of an object, among
    the latest events: however long the log, no more is read. Where `events` end earlier, these are the latest.
    """
    term = term.strip()
    if not term or "\x00" in term:
        return events.none()
    found = find(term, fleets)
    # What else was done by somebody, or upon nothing, is of other fleets.
    log = events if fleets is None else AuditEvent.objects.all()
    log = log.order_by("-at", "-id")
    # In the order of their index, device first: PostgreSQL would sort all of them otherwise.
    of_no_device = log.filter(device=None).order_by("device_id", "-at", "-id")
    texts = events.filter(Q(object_name__icontains=term) | Q(request_id=term))
    sources = [
        _latest_among(events, log.filter(actor=term), LIMIT if fleets is None else _LATEST),
        _latest_among(texts, log, _LATEST),
        _latest_among(texts, of_no_device, _LATEST_OF_NO_DEVICE),
        *([_latest(events.filter(device__in=found.device_ids))] if found.device_ids else []),
        *([_latest(events.filter(certificate__in=found.certificate_ids))] if found.certificate_ids else []),
    ]
    return events.filter(pk__in={pk for each in sources for pk in each})


def _latest_among(events: QuerySet[AuditEvent], log: QuerySet[AuditEvent], most: int) -> QuerySet[AuditEvent, int]:
    """Return the keys of the latest of `events` that are among the first so many of `log`."""
    return _latest(events.filter(pk__in=log.values("pk")[:most]))


def _latest(events: QuerySet[AuditEvent]) -> QuerySet[AuditEvent, int]:
    """Return the keys of the latest few, found from the filter's side: along the log the walk might have no end."""
    return events.order_by(sort_by(AuditEvent, "-at", reverse=False)).values_list("pk", flat=True)[:LIMIT]


def _in_group(found: Found, path: str) -> Q:
    # One of both where one suffices: an OR keeps PostgreSQL from the index of either.
    if not found.site_ids:
        return Q(**{f"{path}batch__in": found.batch_ids})
    if not found.batch_ids:
        return Q(**{f"{path}site__in": found.site_ids})
    return Q(**{f"{path}batch__in": found.batch_ids}) | Q(**{f"{path}site__in": found.site_ids})


def _device_ids(term: str, fleets: FleetIds) -> list[int]:
    devices = Device.objects.of_fleets(fleets)
    ids = list(devices.filter(mqtt_id=term).exclude(mqtt_id="").values_list("id", flat=True)[:LIMIT])
    phone_number = re.sub(r"[\s()./-]", "", term)
    if re.fullmatch(r"\+[0-9]{7,15}", phone_number):
        called = devices.filter(phone_number=phone_number).exclude(phone_number="")
        ids += called.values_list("id", flat=True)[:LIMIT]
    ids += devices.filter(serial__startswith=term).order_by("serial").values_list("id", flat=True)[:LIMIT]
    return list(dict.fromkeys(ids))[:LIMIT]


def _certificate_ids(term: str, fleets: FleetIds) -> list[int]:
    digits = hexadecimal(term)
    if digits is None:
        return []
    certificates = Certificate.objects.of_fleets(fleets)
    if len(digits) == _SHA256_DIGITS:
        digest = bytes.fromhex(digits)
        return list(certificates.filter(Q(sha256=digest) | Q(spki_sha256=digest)).values_list("id", flat=True)[:LIMIT])
    ids = list(certificates.filter(serial__in=stored_forms(term)).values_list("id", flat=True)[:LIMIT])
    beginning = digits.lstrip("0")
    if not ids and len(beginning) >= _SHORTEST_SERIAL_PREFIX:
        begun = certificates.filter(serial__startswith=beginning).order_by("serial")
        ids = list(begun.values_list("id", flat=True)[:LIMIT])
    return ids
