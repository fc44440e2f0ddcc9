"""SCEP registration authorities: whoever signs for a fleet has one, in time, and nobody else."""

import pytest
from django.utils import timezone

from inventory.audit.record import SYSTEM
from inventory.models import AuditAction, AuditEvent, Certificate, RevocationReason
from renewal import jobs, registration_authorities
from renewal.models import RegistrationAuthority
from renewal.registration_authorities import RENEWED_BEFORE_END, VALIDITY, NobodyAnswers, load, renew_if_due
from revocation import orders
from tests.factories import DAY, NOW, authority, fleet

pytestmark = pytest.mark.django_db


def test_the_job_makes_one_for_each_authority_that_signs_for_a_fleet_once():
    fleet(), fleet("other")
    jobs.renew_registration_authorities()
    jobs.renew_registration_authorities()
    [made] = RegistrationAuthority.objects.all()
    # The root signs for none.
    assert made.authority == authority()
    assert (made.certificate.purpose, made.certificate.key_type) == ("scep_ra", "rsa-2048")
    event = AuditEvent.objects.get(certificate=made.certificate)
    assert event.action == AuditAction.INFRASTRUCTURE_ISSUED


def test_a_revoked_authority_gets_none():
    fleet()
    order = orders.Order(RevocationReason.KEY_COMPROMISE, SYSTEM)
    certificate = authority().certificate
    assert certificate
    orders.revoke(certificate, order, timezone.now())
    jobs.renew_registration_authorities()
    assert not RegistrationAuthority.objects.exists()


def test_the_next_one_comes_in_time_and_the_earlier_answers_until_it_ends():
    first = renew_if_due(authority(), NOW)
    assert first
    due = first.certificate.not_after - RENEWED_BEFORE_END
    assert renew_if_due(authority(), due - DAY) is None
    second = renew_if_due(authority(), due)
    assert second
    both = [second.certificate.x509, first.certificate.x509]
    assert [each.certificate for each in load(authority().pk, due)] == both
    assert [each.certificate for each in load(authority().pk, first.certificate.not_after + DAY)] == both[:1]


def test_none_outlives_its_authority_and_one_that_ends_with_it_is_not_renewed():
    certificate = authority().certificate
    assert certificate
    near = certificate.not_after - VALIDITY / 2
    last = renew_if_due(authority(), near)
    assert last
    assert last.certificate.not_after == certificate.not_after
    assert renew_if_due(authority(), certificate.not_after - DAY) is None


def test_a_revoked_one_answers_no_more():
    made = renew_if_due(authority(), NOW)
    assert made
    Certificate.objects.filter(pk=made.certificate_id).update(
        state="revoked", revocation_reason="keyCompromise", revoked_at=NOW
    )
    with pytest.raises(NobodyAnswers, match="a job makes one"):
        load(authority().pk, NOW + DAY)
    assert registration_authorities.renew_if_due(authority(), NOW + DAY)
