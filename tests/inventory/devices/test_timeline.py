"""What a device's page says happens next, in one sentence."""

import re
from datetime import timedelta

import pytest

from inventory.admin import cells
from inventory.audit.record import SYSTEM
from inventory.devices.cases import close_case, open_case
from inventory.devices.timeline import Outlook, outlook
from inventory.issuing.certificates import Admission, issue
from inventory.models import Certificate, Device
from inventory.models.case import Verdict
from tests.factories import DAY, NOW, certification_request, device, enrolled, investigator

pytestmark = pytest.mark.django_db


def said(device_: Device, now=NOW) -> str:
    found = outlook(device_, list(device_.certificates.select_related("profile")), now)
    return re.sub(r"<[^>]+>", "", cells.sentence(found, now))


def renewed(old, now=NOW) -> Certificate:
    owner = old.device
    admission = Admission(
        owner, owner.fleet.profile, owner.fleet.authority, certification_request(), SYSTEM, predecessor=old.certificate
    )
    return issue(admission, now=now)


def test_before_the_window_there_is_nothing_to_do_and_it_says_until_when():
    meter = enrolled(expires_in=171 * DAY)
    assert said(meter.device) == "Nothing to do; renewal opens on 2027-05-21, in 81 d."


def test_what_is_near_is_named_to_the_minute():
    meter = enrolled(expires_in=90 * DAY + timedelta(hours=3))
    assert said(meter.device) == "Nothing to do; renewal opens on 2027-03-01 15:00, in 3 h."


def test_within_the_window_it_says_how_long_there_is():
    assert said(enrolled().device) == "It may renew now; its certificate ends on 2027-03-31, in 30 d."


def test_after_the_end_a_person_must_act():
    meter = enrolled(expires_in=-5 * DAY)
    assert said(meter.device) == (
        "Its certificate ended on 2027-02-24, 5 d ago; it can no longer authenticate: enrol it anew."
    )


def test_a_renewal_that_was_not_used_leaves_the_old_certificate_in_its_place():
    meter = enrolled()
    new = renewed(meter)
    assert said(meter.device) == (
        "Renewed, not yet seen with the new certificate; the old one stays valid until 2027-03-31, in 30 d."
    )
    later = NOW + 31 * DAY
    assert said(meter.device, later) == (
        "Renewed, not yet seen with the new certificate, and the old one has ended; "
        f"the new one ends on {new.not_after:%Y-%m-%d}, in {(new.not_after.date() - later.date()).days} d."
    )


def test_a_revoked_certificate_says_why_and_when():
    meter = enrolled()
    Certificate.objects.update(state="revoked", revoked_at=NOW - 3 * DAY, revocation_reason="keyCompromise")
    assert said(meter.device) == (
        "Its certificate was revoked (key compromise) on 2027-02-26, 3 d ago; "
        "it is given no other until a case clears it."
    )


def test_a_revoked_device_says_how_its_case_stands():
    meter = enrolled()
    Certificate.objects.update(state="revoked", revoked_at=NOW - 3 * DAY, revocation_reason="keyCompromise")
    ann, bob = (investigator(name) for name in ("ann", "bob"))
    case = open_case(meter.device, finding="x", proposal=Verdict.CLEARED, now=NOW, actor=ann)
    assert said(meter.device) == (
        "Revoked (key compromise) on 2027-02-26, 3 d ago. ann proposes: it may enrol again. A second person decides."
    )
    close_case(case.pk, agrees=True, note="", now=NOW, actor=bob)
    assert said(meter.device) == "Cleared by bob on 2027-03-01 12:00, now: it enrols anew with a one-time secret."


def test_a_superseded_certificate_is_nothing_to_stand_on():
    old, other = enrolled(), enrolled()
    Certificate.objects.filter(pk=old.certificate.pk).update(state="superseded", successor=other.certificate)
    assert said(old.device) == "Its last certificate was superseded and none is in use: enrol it anew."


def test_without_a_certificate_or_out_of_service():
    assert said(device()) == "It has no certificate yet: it enrols with a one-time secret."
    assert said(device(status="retired")) == "Not in service: it is given no certificate."


def test_a_name_within_a_sentence_is_text():
    shown = cells.sentence(Outlook("“%(name)s” & more", "good", words={"name": "<b>%(when)s</b>"}), NOW)
    assert shown == "“<bdi>&lt;b&gt;%(when)s&lt;/b&gt;</bdi>” &amp; more"
