"""The facts of many requests, read at once, are those of each read alone: the gate decides the same."""

import pytest

from inventory.audit.record import SYSTEM
from inventory.issuing.certificates import Admission
from inventory.models import Certificate, Device, DeviceStatus, Fleet, RevocationReason
from inventory.x509.csr import parse
from renewal import facts
from renewal.gate import AlreadyIssued, admit_renewal
from renewal.refusals import Refusal
from renewal.requests import Renewal
from revocation import orders
from tests.factories import DAY, NOW, Enrolled, authority, csr_der, enrolled, fleet, key, profile
from tests.renewal.test_renewing import renew

pytestmark = pytest.mark.django_db


def asked(meter: Enrolled, own_key=None, subject=None) -> Renewal:
    return Renewal(meter.der, parse(csr_der(own_key or key(), subject or meter.certificate.x509.subject)))


def revoke(certificate: Certificate) -> None:
    orders.revoke(certificate, orders.Order(RevocationReason.KEY_COMPROMISE, SYSTEM), NOW)


def requests() -> list[Renewal]:
    """Return a request of every kind that the gate tells apart, each of a device and for a key of its own."""
    profile(max_unconfirmed=1)
    honest, early, expired, suspended, robbed, misnamed, thief, clone, full, again = (
        enrolled(expires_in=days * DAY) for days in (30, 200, -1, 30, 30, 30, 30, 30, 30, 30)
    )
    Device.objects.filter(pk=suspended.device.pk).update(status=DeviceStatus.SUSPENDED)
    newer = renew(robbed)
    revoke(newer)
    leaked = enrolled()
    revoke(leaked.certificate)
    renew(full)
    answered = key()
    renew(again, again.renewal_request(answered))
    other = Fleet.objects.create(slug="other", name="other", authority=authority("mfg-2"), profile=profile())
    lost = enrolled(Device.objects.create(serial="LOST", fleet=other, registered_at=NOW))
    revoke(other.authority.certificate)
    stranger = Renewal(b"a certificate of somebody else's", asked(honest).request)
    return [
        asked(honest), asked(early), asked(expired), asked(suspended), asked(robbed),
        asked(misnamed, subject=honest.certificate.x509.subject), asked(thief, leaked.private_key),
        asked(clone, enrolled().private_key), asked(full), asked(again, answered), asked(lost), stranger,
    ]  # fmt: skip


def read(requests: list[Renewal]) -> list[facts.Facts | None]:
    found = facts.read(facts.find(requests, NOW), requests, NOW)
    return [found.get(number) for number in range(len(requests))]


def decision(found: facts.Facts | None, asked: Renewal, *, repeats_names: bool) -> object:
    if found is None:
        return None
    decided = admit_renewal(found, asked.request, label=None, repeats_names=repeats_names, now=NOW, actor=SYSTEM)
    match decided:
        case Admission(device=device, predecessor=predecessor):
            return device.pk, predecessor
        case AlreadyIssued(certificate_id):
            return certificate_id
        case Refusal(code, message):
            return code, message


@pytest.mark.parametrize("repeats_names", [True, False])
def test_decisions_on_many_requests_are_those_on_each(repeats_names, django_assert_num_queries):
    fleet()
    every = requests()
    every.reverse()
    alone = [decision(read([each])[0], each, repeats_names=repeats_names) for each in every]
    with django_assert_num_queries(2):
        together = read(every)
    assert [
        decision(found, each, repeats_names=repeats_names) for found, each in zip(together, every, strict=True)
    ] == alone
    assert len({str(each[0]) if isinstance(each, tuple) and isinstance(each[0], str) else "" for each in alone}) >= 8
