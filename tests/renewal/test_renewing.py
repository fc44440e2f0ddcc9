"""Renewal by the current certificate: gate, door and bookkeeping, through the real database."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import connection, transaction

from inventory.devices.cases import close_case, open_case
from inventory.models import AuditAction, AuditEvent, Case, Certificate, CertificateState, Device, DeviceStatus, Fleet
from inventory.models.case import Verdict
from inventory.models.certificate import RevocationReason
from inventory.x509.csr import parse
from renewal import brakes, enrolling
from renewal.refusals import Refusal, RefusalCode
from tests.factories import DAY, NOW, Enrolled, authority, csr_der, enrolled, investigator, key, profile
from tests.parallel import until_blocked

SECOND = timedelta(seconds=1)


def renew(device_: Enrolled, request: bytes | None = None, *, now=NOW, label: str | None = "demo"):
    parsed = parse(request if request is not None else device_.renewal_request())
    return enrolling.renew(device_.der, parsed, label=label, now=now, source_address="192.0.2.7")


def code(outcome: object) -> RefusalCode:
    assert isinstance(outcome, Refusal), outcome
    return outcome.code


def revoke(certificate: Certificate, reason: RevocationReason = RevocationReason.KEY_COMPROMISE) -> None:
    Certificate.objects.filter(pk=certificate.pk).update(
        state=CertificateState.REVOKED, revoked_at=NOW, revocation_reason=reason
    )


def clear(device: Device) -> None:
    ann, bob = investigator("ann"), investigator("bob")
    case = open_case(device, finding="A mistake.", proposal=Verdict.CLEARED, now=NOW, actor=ann)
    assert isinstance(case, Case), case
    close_case(case.pk, agrees=True, note="", now=NOW, actor=bob)


def test_a_renewal_in_the_window_is_issued_stored_and_audited_in_four_queries(meter, django_assert_num_queries):
    with django_assert_num_queries(4 + 2):  # and the savepoint of a transaction inside the test's own
        renewed = renew(meter)
    assert isinstance(renewed, Certificate)
    stored = Certificate.objects.get(pk=renewed.pk)
    assert bytes(stored.der) == bytes(renewed.der)
    assert stored.predecessor_id == meter.certificate.pk
    assert stored.state == CertificateState.ISSUED
    event = AuditEvent.objects.get(certificate=stored)
    assert event.action == AuditAction.CERTIFICATE_RENEWED
    assert (event.actor_kind, event.actor, event.source_address) == ("device", meter.device.serial, "192.0.2.7")


def test_the_new_certificate_keeps_the_name_and_has_the_new_key(meter):
    new_key = key()
    renewed = renew(meter, meter.renewal_request(new_key))
    assert renewed.x509.subject == meter.certificate.x509.subject
    assert renewed.x509.public_key() == new_key.public_key()


def test_renewal_one_second_before_the_window_names_the_opening_date(meter):
    window_opens = meter.certificate.not_after - 90 * DAY
    refusal = renew(meter, now=window_opens - SECOND)
    assert code(refusal) == RefusalCode.WINDOW_NOT_OPEN
    assert f"Renewal opens on {window_opens:%Y-%m-%d}" in refusal.message
    assert isinstance(renew(meter, now=window_opens), Certificate)


def test_the_last_second_of_a_certificate_still_renews_it_and_the_next_does_not(meter):
    end = meter.certificate.not_after
    assert code(renew(meter, now=end + SECOND)) == RefusalCode.CERTIFICATE_EXPIRED
    assert isinstance(renew(meter, now=end), Certificate)


def test_a_certificate_that_is_not_yet_valid_is_refused(meter):
    early = meter.certificate.not_before - SECOND
    assert code(renew(meter, now=early)) == RefusalCode.CERTIFICATE_NOT_YET_VALID


def test_a_revoked_certificate_is_refused_and_audited(meter):
    revoke(meter.certificate)
    assert code(renew(meter)) == RefusalCode.CERTIFICATE_REVOKED
    event = AuditEvent.objects.get(action=AuditAction.RENEWAL_REFUSED)
    assert event.details["reason"] == "certificate_revoked"
    assert event.certificate_id == meter.certificate.pk


def test_a_certificate_of_a_revoked_authority_is_refused(meter):
    revoke(meter.device.fleet.authority.certificate)
    assert code(renew(meter)) == RefusalCode.ISSUER_REVOKED


def test_a_fleet_whose_next_authority_was_revoked_gets_no_certificate_of_it(meter):
    other = authority("other")
    Fleet.objects.filter(slug="demo").update(authority=other)
    revoke(other.certificate)
    assert code(renew(meter)) == RefusalCode.ISSUER_REVOKED


@pytest.mark.parametrize("status", [DeviceStatus.SUSPENDED, DeviceStatus.RETIRED])
def test_a_device_out_of_service_is_refused(meter, status):
    Device.objects.filter(pk=meter.device.pk).update(status=status)
    assert code(renew(meter)) == RefusalCode.DEVICE_NOT_IN_SERVICE


def test_the_label_of_another_fleet_is_refused(meter):
    assert code(renew(meter, label="other")) == RefusalCode.OTHER_FLEET


def _names(meter: Enrolled, other: Enrolled) -> dict[str, bytes]:
    own = meter.certificate.x509.subject
    return {
        "another device": csr_der(key(), other.certificate.x509.subject),
        "no subject": csr_der(key(), ""),
        "an attribute more": csr_der(key(), x509.Name([*own, x509.NameAttribute(x509.NameOID.TITLE, "admin")])),
        "an alternative name more": csr_der(key(), own, [x509.DNSName("gateway.example")]),
    }


@pytest.mark.parametrize("case", ["another device", "no subject", "an attribute more", "an alternative name more"])
def test_a_request_for_any_other_name_is_refused(meter, case):
    assert code(renew(meter, _names(meter, enrolled())[case])) == RefusalCode.NAME_MISMATCH


def test_a_renewal_keeps_the_name_though_the_profile_has_another_by_now(meter):
    profile(subject_template="CN=renamed-{serial}")
    assert renew(meter).x509.subject == meter.certificate.x509.subject


def test_alternative_names_must_stay(db):
    profile(san_templates=["URI:urn:dev:{serial}"])
    meter = enrolled()
    assert code(renew(meter)) == RefusalCode.NAME_MISMATCH
    kept = [x509.UniformResourceIdentifier(f"urn:dev:{meter.device.serial}")]
    assert isinstance(renew(meter, csr_der(key(), meter.certificate.x509.subject, kept)), Certificate)


def test_a_lookalike_from_another_authority_is_unknown(meter):
    lookalike = (
        x509.CertificateBuilder()
        .subject_name(meter.certificate.x509.subject)
        .issuer_name(meter.certificate.x509.issuer)
        .serial_number(meter.certificate.x509.serial_number)
        .not_valid_before(meter.certificate.not_before)
        .not_valid_after(meter.certificate.not_after)
        .public_key((own := key()).public_key())
        .sign(own, meter.certificate.x509.signature_hash_algorithm)
    )
    request = parse(meter.renewal_request())
    outcome = enrolling.renew(
        lookalike.public_bytes(Encoding.DER),
        request,
        label="demo",
        now=NOW,
        source_address=None,
    )
    assert code(outcome) == RefusalCode.UNKNOWN_CERTIFICATE


def test_an_authority_certificate_does_not_authenticate_a_device(meter):
    issuer = meter.device.fleet.authority.certificate
    outcome = enrolling.renew(
        bytes(issuer.der), parse(meter.renewal_request()), label="demo", now=NOW, source_address=None
    )
    assert code(outcome) == RefusalCode.UNKNOWN_CERTIFICATE


def test_the_current_key_is_refused_unless_the_profile_allows_it(meter):
    assert code(renew(meter, meter.renewal_request(meter.private_key))) == RefusalCode.KEY_REUSED
    profile(allow_same_key=True)
    assert isinstance(renew(meter, meter.renewal_request(meter.private_key)), Certificate)


def test_the_key_of_another_device_is_refused(meter):
    assert code(renew(meter, meter.renewal_request(enrolled().private_key))) == RefusalCode.KEY_OF_ANOTHER_DEVICE


def test_a_key_type_outside_the_profile_is_refused_with_what_is_allowed(meter):
    profile(key_types=["ec-p384"])
    refusal = renew(meter)
    assert code(refusal) == RefusalCode.KEY_TYPE
    assert "EC P-256" in refusal.message
    assert "ec-p384" in refusal.message


def test_the_same_key_asked_again_gives_the_same_certificate(meter):
    new_key = key()
    first = renew(meter, meter.renewal_request(new_key))
    again = renew(meter, meter.renewal_request(new_key), now=NOW + DAY)
    assert again.pk == first.pk
    assert AuditEvent.objects.filter(action=AuditAction.CERTIFICATE_RENEWED).count() == 1


def test_an_unused_renewal_leaves_the_old_certificate_able_to_renew_again(meter):
    first, second = renew(meter), renew(meter)
    assert isinstance(second, Certificate)
    assert second.pk != first.pk


def test_a_superseded_certificate_renews_nothing(meter):
    renewed = renew(meter)
    Certificate.objects.filter(pk=meter.certificate.pk).update(state=CertificateState.SUPERSEDED, successor=renewed)
    assert code(renew(meter)) == RefusalCode.CERTIFICATE_SUPERSEDED


def test_renewing_is_a_sighting_of_the_device(meter):
    renew(meter)
    meter.device.refresh_from_db()
    assert meter.device.last_seen_at == NOW


def test_refusals_beyond_the_limit_are_braked_and_leave_no_more_rows(meter):
    early = meter.certificate.not_after - 91 * DAY
    refusals = [code(renew(meter, now=early)) for _ in range(brakes.MOST_OF_DEVICE + 5)]
    assert refusals[-5:] == [RefusalCode.TOO_MANY_REFUSALS] * 5
    recorded = AuditEvent.objects.filter(action=AuditAction.RENEWAL_REFUSED).count()
    assert recorded == brakes.MOST_OF_DEVICE
    assert code(renew(meter, now=early + brakes.SPAN)) == RefusalCode.WINDOW_NOT_OPEN


@pytest.mark.django_db(transaction=True)
def test_the_same_request_in_parallel_gives_one_certificate():
    meter = enrolled()
    request = parse(meter.renewal_request())

    def ask(_: int) -> int:
        try:
            outcome = enrolling.renew(meter.der, request, label="demo", now=NOW, source_address=None)
            assert isinstance(outcome, Certificate), outcome
            return outcome.pk
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(ask, range(16)))
    assert len(answers) == 1
    assert Certificate.objects.filter(predecessor=meter.certificate).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_renewal_waits_for_a_revocation_under_way_and_is_then_refused():
    meter = enrolled()

    def ask() -> object:
        try:
            return renew(meter)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            revoke(meter.certificate)
            asked = threads.submit(ask)
            until_blocked()
            assert not asked.done()
        assert code(asked.result(timeout=60)) == RefusalCode.CERTIFICATE_REVOKED


def test_an_answer_that_was_revoked_is_not_given_again_and_its_key_is_used_up(meter):
    profile(allow_same_key=True)
    for new_key in (key(), meter.private_key):
        answer = renew(meter, meter.renewal_request(new_key))
        revoke(answer, RevocationReason.SUPERSEDED)
        clear(meter.device)
        assert code(renew(meter, meter.renewal_request(new_key))) == RefusalCode.KEY_REUSED
