"""Which keys get no certificate, and how many renewals of one certificate may wait for their first use."""

import pytest

from inventory.audit.record import SYSTEM
from inventory.models import Certificate, RevocationReason, UnexpectedSighting
from inventory.models.sighting import Oddity
from inventory.sightings import record_sighting
from renewal.refusals import Refusal, RefusalCode
from revocation import orders
from tests.factories import DAY, NOW, csr_der, enrolled, key, profile
from tests.renewal.test_gate_races import by_secret
from tests.renewal.test_renewing import code, renew

pytestmark = pytest.mark.django_db


def revoke(certificate: Certificate, reason: RevocationReason = RevocationReason.KEY_COMPROMISE) -> None:
    assert isinstance(orders.revoke(certificate, orders.Order(reason, SYSTEM), NOW), orders.Revoked)


def same_key_renewal(meter):
    profile(allow_same_key=True)
    renewed = renew(meter, meter.renewal_request(meter.private_key))
    assert isinstance(renewed, Certificate)
    return type(meter)(meter.device, renewed, meter.private_key)


def test_a_compromised_key_is_certified_for_nobody_again():
    meter = enrolled()
    revoke(meter.certificate)
    other = enrolled()
    assert code(renew(other, csr_der(meter.private_key, other.certificate.x509.subject))) == RefusalCode.KEY_COMPROMISED
    assert code(by_secret()(meter.private_key)) == RefusalCode.KEY_COMPROMISED


@pytest.mark.parametrize("new_key", [True, False], ids=["for a new key", "for the same key"])
def test_a_certificate_with_a_key_that_leaked_from_another_renews_nothing(meter, new_key):
    second = same_key_renewal(meter)
    revoke(meter.certificate)
    request = second.renewal_request(None if new_key else second.private_key)
    assert code(renew(second, request, now=second.certificate.not_after - DAY)) == RefusalCode.KEY_COMPROMISED


def test_a_key_that_was_put_aside_without_leaking_is_only_used_up(meter):
    second = same_key_renewal(meter)
    revoke(meter.certificate, RevocationReason.SUPERSEDED)
    assert isinstance(renew(second, now=second.certificate.not_after - DAY), Certificate)


def test_what_carries_a_leaked_key_is_proposed_for_revocation_at_once(meter):
    second = same_key_renewal(meter)
    revoke(meter.certificate)
    told = UnexpectedSighting.objects.get()
    assert (told.oddity, told.certificate, told.device) == (
        Oddity.COMPROMISED_KEY, second.certificate, meter.device,
    )  # fmt: skip
    revoke(second.certificate)
    assert UnexpectedSighting.objects.count() == 1


def test_unused_renewals_are_bounded_and_the_answer_says_by_what_and_until_when(meter):
    profile(max_unconfirmed=2)
    for _ in range(2):
        assert isinstance(renew(meter), Certificate)
    refusal = renew(meter)
    assert code(refusal) == RefusalCode.TOO_MANY_UNCONFIRMED
    assert isinstance(refusal, Refusal)
    assert "2 renewals that were never used; the profile meter allows 2" in refusal.message
    assert f"until the certificate ends on {meter.certificate.not_after:%Y-%m-%d}" in refusal.message
    assert refusal.details["until"] == meter.certificate.not_after.isoformat()


def test_an_answer_that_was_lost_is_given_again_beyond_the_bound(meter):
    profile(max_unconfirmed=1)
    new_key = key()
    first = renew(meter, meter.renewal_request(new_key))
    assert renew(meter, meter.renewal_request(new_key)) == first


def test_the_bound_is_of_each_certificate_and_begins_anew_with_the_next(meter):
    profile(max_unconfirmed=1)
    own = key()
    second = renew(meter, meter.renewal_request(own))
    record_sighting(second, meter.device, now=NOW + DAY, actor=SYSTEM)
    by_second = type(meter)(meter.device, second, own)
    assert isinstance(renew(by_second, now=second.not_after - DAY), Certificate)
