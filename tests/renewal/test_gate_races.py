"""What happens beside a request: the gate waits for what would change its answer, and for nothing else."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.db import transaction

from inventory.audit.record import SYSTEM
from inventory.models import (
    AuditAction,
    AuditEvent,
    Certificate,
    Device,
    DeviceStatus,
    RevocationReason,
    UnexpectedSighting,
)
from inventory.models.sighting import Oddity
from inventory.sightings import record_sighting
from inventory.x509.csr import parse
from renewal import enrolling, facts
from renewal.models import EnrolmentProtocol
from renewal.refusals import Refusal, RefusalCode
from renewal.requests import Renewal
from revocation import orders
from tests.factories import DAY, NOW, Enrolled, certification_request, csr_der, device, enrolled, key
from tests.parallel import at_once, beside, until_blocked
from tests.renewal.rows import secret_of

pytestmark = pytest.mark.django_db(transaction=True)

Asking = Callable[[ec.EllipticCurvePrivateKey], enrolling.EnrolmentResult]


def by_certificate(meter: Enrolled | None = None) -> Asking:
    of = meter or enrolled()
    subject = of.certificate.x509.subject
    return lambda own: enrolling.renew(of.der, parse(csr_der(own, subject)), label="demo", now=NOW, source_address=None)


def by_secret() -> Asking:
    new = device()
    secret = secret_of(new)
    return lambda own: enrolling.enrol(
        new.serial, secret, certification_request(own), label="demo", protocol=EnrolmentProtocol.EST, now=NOW,
        source_address=None,
    )  # fmt: skip


WAYS = {"certificate": by_certificate, "secret": by_secret}


@pytest.fixture(params=WAYS.values(), ids=list(WAYS))
def ask(request) -> Asking:
    return request.param()


def code(outcome: object) -> RefusalCode:
    assert isinstance(outcome, Refusal), outcome
    return outcome.code


def refused_after(change: Callable[[], object], ask: Asking) -> RefusalCode:
    """Return why `ask` is refused, when it comes while `change` is under way and not yet committed."""
    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            change()
            asked = beside(threads, lambda: ask(key()))
            until_blocked()
        return code(asked.result(timeout=20))


def revoke(certificate: Certificate, reason: RevocationReason = RevocationReason.KEY_COMPROMISE) -> None:
    assert isinstance(orders.revoke(certificate, orders.Order(reason, SYSTEM), NOW), orders.Revoked)


def test_a_suspension_under_way_is_waited_for(ask):
    suspended = {"status": DeviceStatus.SUSPENDED}
    assert refused_after(lambda: Device.objects.update(**suspended), ask) == RefusalCode.DEVICE_NOT_IN_SERVICE


def test_the_revocation_of_the_issuing_authority_under_way_is_waited_for(ask):
    issuing = Device.objects.get().fleet.authority.certificate
    assert refused_after(lambda: revoke(issuing), ask) == RefusalCode.ISSUER_REVOKED


def test_the_revocation_of_a_newer_certificate_under_way_is_waited_for():
    meter = enrolled()
    newer = by_certificate(meter)(key())
    assert isinstance(newer, Certificate)
    assert refused_after(lambda: revoke(newer), by_certificate(meter)) == RefusalCode.DEVICE_REVOKED


def test_the_revocation_of_another_certificate_with_the_key_under_way_is_waited_for():
    leaked = enrolled()
    ask = by_certificate()
    assert refused_after(lambda: revoke(leaked.certificate), lambda _: ask(leaked.private_key)) == (
        RefusalCode.KEY_COMPROMISED
    )


def test_honest_devices_do_not_wait_for_each_other():
    first, second, third = enrolled(), by_certificate(), by_secret()
    with ThreadPoolExecutor(2) as threads, transaction.atomic():
        requests = [Renewal(first.der, parse(first.renewal_request()))]
        assert facts.read(facts.find(requests, NOW), requests, NOW)
        for ask in (second, third):
            assert isinstance(beside(threads, lambda ask=ask: ask(key())).result(timeout=20), Certificate)


@pytest.mark.parametrize(
    "ways",
    [(by_certificate, by_certificate), (by_secret, by_secret), (by_certificate, by_secret)],
    ids=["two certificates", "two secrets", "a certificate and a secret"],
)
def test_of_two_devices_with_one_key_only_one_gets_a_certificate_and_operators_are_told(ways):
    asking, cloned = [way() for way in ways], key()
    outcomes = at_once([lambda ask=ask: ask(cloned) for ask in asking])
    [issued] = [each for each in outcomes if isinstance(each, Certificate)]
    [refused] = [each for each in outcomes if isinstance(each, Refusal)]
    assert refused.code == RefusalCode.KEY_OF_ANOTHER_DEVICE
    told = UnexpectedSighting.objects.get()
    assert (told.oddity, told.certificate) == (Oddity.SHARED_KEY, issued)
    assert told.device not in (None, issued.device)
    assert AuditEvent.objects.filter(action=AuditAction.UNEXPECTED_SIGHTING, device=told.device).count() == 1


def test_fifty_requests_at_once_leave_no_more_unused_renewals_than_the_profile_allows():
    meter = enrolled()
    ask = by_certificate(meter)
    outcomes = at_once([lambda: ask(key()) for _ in range(50)])
    assert sum(isinstance(each, Certificate) for each in outcomes) == 3
    assert {each.code for each in outcomes if isinstance(each, Refusal)} == {
        RefusalCode.TOO_MANY_UNCONFIRMED,
        RefusalCode.TOO_MANY_REFUSALS,
    }
    assert Certificate.objects.filter(predecessor=meter.certificate).count() == 3


def test_renewals_of_one_device_by_two_of_its_certificates_and_its_first_uses_wait_in_one_order():
    meter = enrolled()
    new = by_certificate(meter)(key())
    assert isinstance(new, Certificate)
    by_new = Enrolled(meter.device, new, key())
    acts: list[Callable[[], object]] = [
        lambda: by_certificate(meter)(key()),
        lambda: enrolling.renew(
            by_new.der, parse(by_new.renewal_request()), label="demo", now=new.not_after - DAY, source_address=None
        ),
        lambda: record_sighting(new, meter.device, now=NOW, actor=SYSTEM),
        lambda: orders.revoke_many(
            orders.unexpired_of_device(meter.device, NOW), orders.Order(RevocationReason.SUPERSEDED, SYSTEM), NOW
        ),
    ]
    at_once(acts * 2)
