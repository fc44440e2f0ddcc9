"""What the gate admits and the door cannot sign: the device hears so, the log says why, nothing is half-stored."""

from datetime import timedelta

import pytest
from django.test import override_settings

from inventory.audit.record import SYSTEM
from inventory.models import AuditAction, AuditEvent, Authority, Certificate, Device, Site
from inventory.x509.csr import parse
from renewal import enrolling, secrets
from renewal.models import EnrolmentProtocol, EnrolmentSecret
from renewal.refusals import Refusal, RefusalCode
from tests.factories import DAY, NOW, Enrolled, certification_request, device, enrolled, fleet, profile

pytestmark = pytest.mark.django_db


def renew(meter: Enrolled, *, now=NOW) -> enrolling.EnrolmentResult:
    request = parse(meter.renewal_request())
    return enrolling.renew(meter.der, request, label="demo", now=now, source_address=None)


def enrol(new: Device, secret: str, *, now=NOW) -> enrolling.EnrolmentResult:
    request = certification_request()
    return enrolling.enrol(
        new.serial, secret, request, label="demo", protocol=EnrolmentProtocol.EST, now=now, source_address=None
    )


def refused(outcome, code: RefusalCode, action: AuditAction) -> str:
    assert isinstance(outcome, Refusal), outcome
    assert outcome.code == code
    assert AuditEvent.objects.get(action=action).details["reason"] == code
    return outcome.message


def test_an_authority_at_its_end_renews_nothing_and_the_refusal_is_audited():
    late = fleet().authority.x509.not_valid_after_utc - 10 * DAY
    meter = enrolled(expires_in=30 * DAY, now=late)
    assert meter.certificate.not_after == late + 10 * DAY
    outcome = renew(meter, now=late + 10 * DAY)
    assert "authority's certificate ended" in refused(outcome, RefusalCode.ISSUER_TOO_OLD, AuditAction.RENEWAL_REFUSED)


@pytest.mark.parametrize(
    "change",
    [
        {"subject_template": "CN={owner}"},
        {"subject_template": "CN={site}"},
        {"subject_template": "nonsense"},
        {"san_templates": ["{serial}"]},
        {"san_templates": ["DNS:{site}"]},
        {"extended_key_usages": ["client authentication"]},
    ],
    ids=str,
)
def test_a_profile_that_gives_no_certificate_is_a_refusal_that_names_it(change):
    new = device()
    secret = secrets.create(new, EnrolmentProtocol.EST, now=NOW, actor=SYSTEM)
    profile(**change)
    message = refused(enrol(new, secret), RefusalCode.PROFILE_UNUSABLE, AuditAction.ENROLMENT_REFUSED)
    assert "Profile meter: " in message
    assert not Certificate.objects.of_devices().exists()
    assert EnrolmentSecret.objects.get().spent_at is None


def test_a_profile_with_a_broken_usage_refuses_renewals_too():
    meter = enrolled()
    profile(extended_key_usages=["client authentication"])
    assert "Profile meter: " in refused(renew(meter), RefusalCode.PROFILE_UNUSABLE, AuditAction.RENEWAL_REFUSED)


def test_a_site_whose_name_is_too_long_for_a_certificate_stops_its_own_devices_only():
    profile(subject_template="CN={serial},OU={site}")
    far = device(site=Site.objects.create(fleet=fleet(), name="x" * 65))
    near = device(site=Site.objects.create(fleet=fleet(), name="Penang, North"))
    for new, expected in ((far, Refusal), (near, Certificate)):
        secret = secrets.create(new, EnrolmentProtocol.EST, now=NOW, actor=SYSTEM)
        assert isinstance(enrol(new, secret), expected)
    assert Certificate.objects.get(device=near).subject == f"CN={near.serial},OU=Penang\\, North"


def test_with_a_wrong_passphrase_devices_hear_to_come_back_and_nothing_of_our_files():
    meter = enrolled()
    with override_settings(KEY_PASSPHRASE="another"):
        message = refused(renew(meter), RefusalCode.ISSUER_UNAVAILABLE, AuditAction.RENEWAL_REFUSED)
    assert message == "The authority mfg-1 cannot sign at the moment; try again later."
    assert isinstance(renew(meter), Certificate)


def test_a_missing_key_refuses_a_secret_without_spending_it():
    new = device()
    secret = secrets.create(new, EnrolmentProtocol.EST, now=NOW, actor=SYSTEM)
    key_name = fleet().authority.key_name
    Authority.objects.filter(slug="mfg-1").update(key_name="lost")
    refused(enrol(new, secret), RefusalCode.ISSUER_UNAVAILABLE, AuditAction.ENROLMENT_REFUSED)
    Authority.objects.filter(slug="mfg-1").update(key_name=key_name)
    assert isinstance(enrol(new, secret, now=NOW + timedelta(minutes=2)), Certificate)
