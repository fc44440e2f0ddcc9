"""Somebody else's authorities are known and shown, and nothing of ours speaks in their name."""

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction

from certportal.device_certificate import _client_authorities
from certportal.health import examine
from inventory.audit.record import SYSTEM
from inventory.formats.imports import Link
from inventory.issuing.authorities import chain
from inventory.issuing.certificates import Admission, issue
from inventory.issuing.keys.software import KeyUnavailable
from inventory.models import Authority, Certificate, Fleet, Purpose, RevocationReason
from inventory.sightings import find_usable
from renewal.campaigns.choosing import Selection, selected
from revocation import bundles
from revocation.freshness import freshness
from revocation.jobs import renew_ocsp_signers
from revocation.models import OcspSigner
from revocation.orders import CannotRevoke, Order, revoke
from revocation.responder import Responders, UnknownAuthority
from tests.factories import NOW, certification_request, device, enrolled, fleet
from tests.inventory.importing.foreign import DAY, ForeignAuthority, der, imported, pem, write_csv

pytestmark = pytest.mark.django_db


@pytest.fixture
def old():
    return ForeignAuthority()


@pytest.fixture
def taken_over(tmp_path, old) -> Certificate:
    """A device certificate of an external authority, whose own certificate is known too."""
    fleet()
    path = tmp_path / "bundle.pem"
    path.write_text(pem(old.signs("CN=M-1"), old.certificate))
    imported(path, fleet(), link=Link.COMMON_NAME)
    return Certificate.objects.select_related("authority__certificate", "device").get(purpose=Purpose.DEVICE)


def test_an_external_authority_has_its_certificate_and_no_key(taken_over, old):
    authority = taken_over.authority
    assert authority.is_external and authority.slug.startswith("ext-old-device-ca-")
    assert bytes(authority.certificate.der) == der(old.certificate)
    assert authority.certificate.authority == authority and authority.parent is None
    assert [each.pk for each in chain(authority)] == [authority.certificate.pk]


def test_an_authority_is_either_ours_or_external(taken_over):
    with pytest.raises(IntegrityError), transaction.atomic():
        Authority.objects.filter(pk=taken_over.authority_id).update(key_name="stolen")
    with pytest.raises(IntegrityError), transaction.atomic():
        Authority.objects.own().update(key_name=None)


def test_the_door_signs_nothing_for_it(taken_over):
    rules = fleet()
    with pytest.raises(KeyUnavailable, match="external"):
        issue(Admission(device(), rules.profile, taken_over.authority, certification_request(), SYSTEM), NOW)


def test_no_fleet_can_choose_it(taken_over):
    choices = Fleet._meta.get_field("authority").get_limit_choices_to()
    assert not Authority.objects.filter(**choices, pk=taken_over.authority_id).exists()


def test_the_status_plane_does_not_speak_for_it(taken_over):
    slug = taken_over.authority.slug
    assert slug not in {line.authority_slug for line in freshness(NOW)}
    with pytest.raises(UnknownAuthority):
        Responders().of(slug, NOW)
    renew_ocsp_signers()
    assert not OcspSigner.objects.filter(authority=taken_over.authority).exists()
    assert bundles.bundle(slug, NOW) is None
    assert taken_over.authority.certificate not in (bundles.bundle("demo", NOW) or [])


def test_the_device_plane_does_not_trust_it(taken_over):
    assert taken_over.authority.certificate not in _client_authorities()
    assert find_usable(bytes(taken_over.sha256), NOW) is None


def test_the_doctor_minds_our_own_certificates_only(taken_over, old):
    assert not [finding for finding in examine(NOW) if "Old Device CA" in finding.check or "M-1" in finding.check]


def test_what_it_signed_is_revoked_where_it_was_signed(taken_over):
    answer = revoke(taken_over, Order(RevocationReason.KEY_COMPROMISE, SYSTEM), NOW)
    assert isinstance(answer, CannotRevoke) and "revoke it there" in str(answer.text)


def test_no_campaign_asks_a_device_to_renew_what_it_signed(taken_over):
    span = Selection(taken_over.device.fleet, NOW, NOW + 900 * DAY)
    assert not selected(span).exists()


def test_a_certificate_imported_later_does_not_hide_ours(tmp_path, old):
    meter = enrolled()
    row = {"device_serial": meter.device.serial, "certificate": pem(old.signs("CN=X"))}
    imported(write_csv(tmp_path / "x.csv", [row]), meter.device.fleet)
    span = Selection(meter.device.fleet, NOW, NOW + 900 * DAY)
    assert [each.pk for each in selected(span)] == [meter.certificate.pk]


def test_authorities_that_signed_each_other_make_no_circle(tmp_path):
    first, second = ForeignAuthority("CN=First"), ForeignAuthority("CN=Second")
    crossed = [_crossed(first, by=second), _crossed(second, by=first)]
    path = tmp_path / "crossed.pem"
    path.write_text(pem(*crossed))
    imported(path, fleet())
    found = Authority.objects.external()
    assert found.count() == 2 and found.filter(parent__isnull=False).count() == 1


def _crossed(subject: ForeignAuthority, by: ForeignAuthority):
    again = ForeignAuthority.__new__(ForeignAuthority)
    again.key, again.name = subject.key, subject.name
    return again._own(by)


def test_bundles_link_by_the_rule_that_was_chosen(tmp_path, old):
    from cryptography import x509

    names = [x509.DNSName("meter-7.old.example"), x509.UniformResourceIdentifier("urn:dev:serial-7")]
    path = tmp_path / "one.der"
    path.write_bytes(der(old.signs("2.5.4.5=SN-7,CN=not a serial", alternative_names=names)))
    for link, serial in ((Link.SUBJECT_SERIAL, "SN-7"), (Link.SAN_DNS, "meter-7"), (Link.SAN_URI, "serial-7")):
        Certificate.objects.filter(device__isnull=False).delete()
        imported(path, fleet(), link=link)
        assert Certificate.objects.get(device__isnull=False).device.serial == serial


def test_a_bundle_without_a_rule_is_tracked_of_no_device(tmp_path, old):
    path = tmp_path / "one.pem"
    path.write_text(pem(old.signs("CN=www.old.example")))
    imported(path, None)
    tracked = Certificate.objects.get(purpose=Purpose.TRACKED)
    assert tracked.device is None and tracked.subject == "CN=www.old.example"


def test_a_pkcs7_bundle_is_read(tmp_path, old):
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

    for encoding, name in ((Encoding.DER, "a.p7b"), (Encoding.PEM, "b.p7c")):
        leaf = old.signs(f"CN=P-{name[0]}")
        path = tmp_path / name
        path.write_bytes(pkcs7.serialize_certificates([leaf, old.certificate], encoding))
        run = imported(path, fleet(), link=Link.COMMON_NAME)
        assert run.devices_new == 1 and run.rejected == 0


def test_the_command_publishes_no_crl_of_it(taken_over, capsys):
    call_command("publish_crls", "--json")
    assert taken_over.authority.slug not in capsys.readouterr().out
