"""Finding a device or certificate by what a person has in hand: a label, a phone number, a line of a log.

Every question is answered from an index, in two steps: first at most `LIMIT` keys, then the rows of a list.
"""

import re
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db.models import Q

from inventory.models import Certificate, Device, Fleet
from inventory.x509.serials import hexadecimal

LIMIT = 200
_SHORTEST_SERIAL_PREFIX = 6
_SHA256_DIGITS = 64


@dataclass(frozen=True)
class Found:
    device_ids: tuple[int, ...]
    certificate_ids: tuple[int, ...]

    @property
    def cut(self) -> bool:
        """Whether more may match than was looked at."""
        return max(len(self.device_ids), len(self.certificate_ids)) >= LIMIT


def find(term: str) -> Found:
    """Return what `term` names: the prefix of a device serial, a whole MQTT id or phone number, a certificate."""
    term = term.strip()
    if not term or "\x00" in term:
        return Found((), ())
    return Found(tuple(_device_ids(term)), tuple(_certificate_ids(term)))


def _device_ids(term: str) -> list[int]:
    phone_number = re.sub(r"[\s()./-]", "", term)
    exact = [
        # The index of MQTT ids begins with the fleet.
        Q(fleet_id__in=list(Fleet.objects.values_list("id", flat=True)), mqtt_id=term),
    ]
    if re.fullmatch(r"\+[0-9]{7,15}", phone_number):
        exact.append(Q(phone_number=phone_number))
    ids = list(Device.objects.filter(reduce(or_, exact)).values_list("id", flat=True)[:LIMIT])
    ids += Device.objects.filter(serial__startswith=term).order_by("serial").values_list("id", flat=True)[:LIMIT]
    return list(dict.fromkeys(ids))[:LIMIT]


def _certificate_ids(term: str) -> list[int]:
    digits = hexadecimal(term)
    if digits is None:
        return []
    if len(digits) == _SHA256_DIGITS:
        digest = bytes.fromhex(digits)
        return list(
            Certificate.objects.filter(Q(sha256=digest) | Q(spki_sha256=digest)).values_list("id", flat=True)[:LIMIT]
        )
    serial = digits.lstrip("0")
    if len(serial) < _SHORTEST_SERIAL_PREFIX:
        return list(Certificate.objects.filter(serial=serial).values_list("id", flat=True)[:LIMIT])
    return list(
        Certificate.objects.filter(serial__startswith=serial).order_by("serial").values_list("id", flat=True)[:LIMIT]
    )
