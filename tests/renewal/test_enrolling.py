"""First certificates by one-time secrets: one secret gives one certificate, whoever asks and however often."""

import hashlib
from datetime import timedelta

import pytest
from django.db import connection

from inventory.audit.record import SYSTEM
from inventory.models import AuditAction, AuditEvent, Certificate, Device
from renewal import brakes, enrolling, secrets
from renewal.models import EnrolmentProtocol, EnrolmentSecret
from renewal.refusals import Refusal, RefusalCode
from tests.factories import DAY, NOW, certification_request, device, enrolled, fleet, key, profile
from tests.parallel import at_once
from tests.renewal.rows import secret_of

SECOND = timedelta(seconds=1)


def enrol(new: Device, secret: str, private_key=None, *, now=NOW, label="demo", protocol=EnrolmentProtocol.EST,
          address: str | None = None):  # fmt: skip
    request = certification_request(private_key)
    return enrolling.enrol(new.serial, secret, request, label=label, protocol=protocol, now=now, source_address=address)


def code(outcome: object) -> RefusalCode:
    assert isinstance(outcome, Refusal), outcome
    return outcome.code


def test_a_secret_is_shown_once_stored_hashed_and_audited_without_it(db):
    new = device()
    secret = secret_of(new)
    assert len(secret) == 24
    stored = EnrolmentSecret.objects.get()
    assert bytes(stored.sha256) == hashlib.sha256(secret.encode()).digest()
    event = AuditEvent.objects.get(action=AuditAction.SECRET_CREATED)
    assert event.device_id == new.pk
    assert secret not in str(event.details) + event.object_name


def test_a_secret_ends_after_its_lifetime_to_the_second(db):
    new = device()
    secret = secret_of(new)
    assert code(enrol(new, secret, now=NOW + secrets.LIFETIME)) == RefusalCode.WRONG_SECRET
    assert isinstance(enrol(new, secret, now=NOW + secrets.LIFETIME - SECOND), Certificate)


def test_a_new_secret_ends_the_one_before(db):
    new = device()
    first, second = secret_of(new), secret_of(new, now=NOW + SECOND)
    assert code(enrol(new, first, now=NOW + 2 * SECOND)) == RefusalCode.WRONG_SECRET
    assert isinstance(enrol(new, second, now=NOW + 2 * SECOND), Certificate)


def test_a_secret_of_another_protocol_fleet_or_device_is_wrong(db):
    new, twin = device("SM1"), device("SM1", fleet=fleet("other"))
    secret = secret_of(new)
    assert code(enrol(new, secret, protocol=EnrolmentProtocol.SCEP)) == RefusalCode.WRONG_SECRET
    assert code(enrol(twin, secret, label="other")) == RefusalCode.WRONG_SECRET
    assert code(enrol(new, secret, label="other")) == RefusalCode.WRONG_SECRET
    assert code(enrol(device(), secret)) == RefusalCode.WRONG_SECRET
    assert isinstance(enrol(new, secret), Certificate)


def test_a_refused_request_does_not_spend_the_secret(db):
    new = device()
    secret = secret_of(new)
    profile(key_types=["ec-p384"])
    assert code(enrol(new, secret)) == RefusalCode.KEY_TYPE
    profile(key_types=["ec-p256"])
    assert code(enrol(new, secret, enrolled().private_key)) == RefusalCode.KEY_OF_ANOTHER_DEVICE
    assert EnrolmentSecret.objects.get().spent_at is None
    assert isinstance(enrol(new, secret), Certificate)


def test_a_device_with_a_certificate_that_expired_comes_back_by_a_secret(db):
    lost = enrolled(expires_in=-1 * DAY)
    assert isinstance(enrol(lost.device, secret_of(lost.device)), Certificate)


def test_one_address_that_guesses_at_many_devices_is_braked(db):
    devices = [device() for _ in range(brakes.MOST_OF_NETWORK // brakes.MOST_OF_DEVICE + 1)]
    codes = [code(enrol(each, "guess", address="192.0.2.66")) for each in devices for _ in range(brakes.MOST_OF_DEVICE)]
    assert codes.count(RefusalCode.WRONG_SECRET) == brakes.MOST_OF_NETWORK
    assert codes[-1] == RefusalCode.TOO_MANY_REFUSALS
    other = device()
    assert isinstance(enrol(other, secret_of(other), address="192.0.2.67"), Certificate)


def test_guesses_at_serial_numbers_that_do_not_exist_count_for_their_address(db):
    fleet()
    unknown = Device(serial="NOBODY")
    codes = {code(enrol(unknown, "guess", address="192.0.2.66")) for _ in range(brakes.MOST_OF_NETWORK)}
    assert codes == {RefusalCode.WRONG_SECRET}
    assert code(enrol(unknown, "guess", address="192.0.2.66")) == RefusalCode.TOO_MANY_REFUSALS


@pytest.mark.django_db(transaction=True)
def test_twenty_parallel_uses_of_a_secret_with_different_keys_give_one_certificate():
    new = device()
    secret = secret_of(new)
    outcomes = at_once([lambda: enrol(new, secret, key())] * 20)
    certificates = [outcome for outcome in outcomes if isinstance(outcome, Certificate)]
    assert len(certificates) == 1
    refusals = {outcome.code for outcome in outcomes if isinstance(outcome, Refusal)}
    assert refusals <= {RefusalCode.WRONG_SECRET, RefusalCode.TOO_MANY_REFUSALS}
    assert Certificate.objects.filter(device=new).count() == 1
    assert EnrolmentSecret.objects.get().certificate_id == certificates[0].pk
    assert AuditEvent.objects.filter(action=AuditAction.CERTIFICATE_ENROLLED).count() == 1


@pytest.mark.django_db(transaction=True)
def test_twenty_parallel_uses_of_a_secret_with_one_key_all_get_the_one_certificate():
    new, own = device(), key()
    secret = secret_of(new)
    outcomes = at_once([lambda: enrol(new, secret, own)] * 20)
    assert len({outcome.pk for outcome in outcomes}) == 1
    assert Certificate.objects.filter(device=new).count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_secrets_made_at_once_one_is_left():
    new = device()
    at_once([lambda: secrets.create(new, EnrolmentProtocol.EST, now=NOW, actor=SYSTEM)] * 4)
    assert EnrolmentSecret.objects.filter(expires_at__gt=NOW).count() == 1


def test_a_failed_enrolment_leaves_no_certificate_that_nobody_got(db):
    # The process dies after the door and before the secret is spent: both are undone.
    new = device()
    secret = secret_of(new)

    def die(execute, sql, params, many, context):
        if sql.split()[:2] == ["UPDATE", "renewal_enrolmentsecret"]:
            raise KeyboardInterrupt
        return execute(sql, params, many, context)

    with pytest.raises(KeyboardInterrupt), connection.execute_wrapper(die):
        enrol(new, secret)
    assert not Certificate.objects.filter(device=new).exists()
    assert isinstance(enrol(new, secret), Certificate)
