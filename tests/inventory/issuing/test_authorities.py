"""Establishing authorities: row, key and certificate come together or not at all."""

import pytest
from django.conf import settings
from django.db import DatabaseError, IntegrityError, transaction

from inventory.audit.record import SYSTEM
from inventory.issuing.authorities import AuthorityPlan, chain, establish
from inventory.issuing.keys.store import signing_key
from inventory.models import AuditAction, AuditEvent, Authority, Certificate
from tests.factories import DAY, NOW, authority, root

pytestmark = pytest.mark.django_db


def plan(slug: str = "new", **changes) -> AuthorityPlan:
    return AuthorityPlan(**{"slug": slug, "name": f"Test {slug}", "organization": "Test", "validity": 365 * DAY,
                            "path_length": 0, **changes})  # fmt: skip


def keys_on_disk() -> set[str]:
    return {path.stem for path in (settings.HOME / "keys").glob("*.pem")}


def test_a_root_signs_itself_and_an_issuing_authority_is_signed_by_its_parent():
    issuing = authority()
    assert issuing.certificate.authority == issuing.parent
    assert issuing.parent.certificate.authority == issuing.parent
    assert [each.subject for each in chain(issuing)] == ["CN=Test mfg-1,O=Test", "CN=Test root,O=Test"]


def test_the_key_on_disk_is_the_key_in_the_certificate():
    issuing = authority()
    assert signing_key(issuing.key_name).public_key() == issuing.x509.public_key()


def test_an_authority_is_audited_when_it_is_established():
    issuing = authority()
    event = AuditEvent.objects.get(certificate=issuing.certificate)
    assert (event.action, event.actor) == (AuditAction.AUTHORITY_ESTABLISHED, "certportal")


def test_an_issuing_authority_ends_with_its_parent_at_the_latest():
    late = establish(plan(validity=100_000 * DAY), parent=root(), now=NOW, actor=SYSTEM)
    assert late.x509.not_valid_after_utc == root().x509.not_valid_after_utc


def test_a_name_that_is_taken_leaves_the_first_authority_alone():
    first = authority()
    with pytest.raises(IntegrityError), transaction.atomic():
        establish(plan("mfg-1"), parent=root(), now=NOW, actor=SYSTEM)
    assert Authority.objects.get(slug="mfg-1").certificate == first.certificate


@pytest.mark.parametrize("change", [{"name": "x" * 65}, {"crl_shards": 0}, {"organization": "x" * 5000}], ids=str)
def test_an_authority_that_cannot_be_made_leaves_no_row(change):
    parent, before = root(), Certificate.objects.count()
    with pytest.raises((ValueError, DatabaseError)), transaction.atomic():
        establish(plan(**change), parent=parent, now=NOW, actor=SYSTEM)
    assert not Authority.objects.filter(slug="new").exists()
    assert Certificate.objects.count() == before


def test_a_crash_after_the_key_leaves_a_key_in_nobodys_way():
    parent, before = root(), keys_on_disk()
    with pytest.raises(KeyboardInterrupt), transaction.atomic():
        establish(plan(), parent=parent, now=NOW, actor=SYSTEM)
        raise KeyboardInterrupt
    assert len(keys_on_disk() - before) == 1
    again = establish(plan(), parent=parent, now=NOW, actor=SYSTEM)
    assert signing_key(again.key_name).public_key() == again.x509.public_key()


def test_the_chain_of_an_authority_without_a_certificate_is_not_half_a_chain():
    with pytest.raises(ValueError, match="half is not established"):
        chain(Authority(slug="half", name="Half", parent=root()))
