"""Whether a CRL names a certificate is told from its own bytes, and why it does not, from the rows."""

from datetime import timedelta

import pytest

from inventory.audit.record import SYSTEM
from inventory.models import Certificate, RevocationReason
from inventory.x509.keys import KeyType
from revocation import crl, crl_files
from revocation.membership import Absence, ask, next_publication
from revocation.models import Crl
from revocation.orders import Order, revoke
from revocation.publishing import publish
from revocation.scopes import Scope
from tests import factories
from tests.factories import DAY, NOW
from tests.revocation.issuers import issuer

HOUR = timedelta(hours=1)
STOLEN = Order(RevocationReason.KEY_COMPROMISE, SYSTEM)


def put_in_shard(certificate: Certificate, shard: int) -> None:
    Certificate.objects.filter(pk=certificate.pk).update(crl_shard=shard)


def test_a_certificate_that_is_in_is_told_with_date_and_reason_of_the_crl(meter):
    revoke(meter.certificate, STOLEN, NOW)
    row = publish(meter.certificate.authority, 0, NOW)
    # What the rows say since does not count.
    Certificate.objects.filter(pk=meter.certificate.pk).update(revocation_reason="superseded")

    answer = ask(row, {meter.certificate.serial})

    assert (answer.entry.reason, answer.entry.revoked_at) == ("keyCompromise", NOW - HOUR)
    assert (answer.absence, answer.certificate) == (None, meter.certificate)


def test_a_certificate_that_was_not_revoked_is_not_in(meter):
    answer = ask(publish(meter.certificate.authority, 0, NOW), {meter.certificate.serial})
    assert (answer.entry, answer.absence, answer.certificate) == (None, Absence.NOT_REVOKED, meter.certificate)


def test_what_is_revoked_after_the_crl_was_made_is_in_the_next(meter):
    authority = meter.certificate.authority
    row = publish(authority, 0, NOW)
    assert next_publication(row, NOW) == NOW + HOUR
    revoke(meter.certificate, STOLEN, NOW + HOUR / 2)

    assert ask(row, {meter.certificate.serial}).absence == Absence.TOO_LATE
    assert next_publication(row, NOW + HOUR / 2) == NOW + HOUR / 2
    assert ask(publish(authority, 0, NOW + HOUR), {meter.certificate.serial}).entry is not None


def test_what_ended_and_left_the_crl_is_told_as_such(meter):
    authority = meter.certificate.authority
    revoke(meter.certificate, STOLEN, NOW)
    publish(authority, 0, NOW)
    later = meter.certificate.not_after + 2 * HOUR
    publish(authority, 0, later)
    row = publish(authority, 0, later + 2 * HOUR)
    assert ask(row, {meter.certificate.serial}).absence == Absence.ENDED_BEFORE


def test_a_certificate_of_another_shard_is_told_with_the_crl_of_that_one(db):
    sharded = factories.authority("sharded", crl_shards=4)
    of_it = factories.enrolled(factories.device(fleet=factories.fleet("sharded", authority=sharded)))
    put_in_shard(of_it.certificate, 3)
    row = publish(sharded, 0, NOW)
    assert ask(row, {of_it.certificate.serial}).elsewhere is None
    theirs = publish(sharded, 3, NOW)

    answer = ask(row, {of_it.certificate.serial})

    assert (answer.absence, answer.elsewhere) == (Absence.OTHER_SHARD, theirs)
    # The complete one is of every shard.
    assert ask(publish(sharded, None, NOW), {of_it.certificate.serial}).absence == Absence.NOT_REVOKED


def test_a_certificate_of_another_authority_is_told_with_the_crl_of_that_one(meter):
    other = factories.authority("other")
    theirs = publish(meter.certificate.authority, 0, NOW)
    answer = ask(publish(other, 0, NOW), {meter.certificate.serial})
    assert (answer.absence, answer.elsewhere) == (Absence.OTHER_AUTHORITY, theirs)


def test_a_number_that_nothing_has_is_not_in(meter):
    answer = ask(publish(meter.certificate.authority, 0, NOW), {"abcdef", "11259375"})
    assert (answer.absence, answer.certificate) == (Absence.NOT_HERE, None)


def test_a_certificate_of_another_fleet_is_not_told_of_but_what_the_crl_says_is_for_everybody(meter):
    revoke(meter.certificate, STOLEN, NOW)
    other = factories.enrolled()
    row = publish(meter.certificate.authority, 0, NOW)
    nobody: list[int] = []
    assert ask(row, {other.certificate.serial}, nobody).absence == Absence.NOT_HERE
    answer = ask(row, {meter.certificate.serial}, nobody)
    assert answer.entry is not None and answer.certificate is None


def test_only_the_crl_in_place_is_asked_byte_for_byte(meter):
    authority = meter.certificate.authority
    first = publish(authority, 0, NOW)
    second = publish(authority, 0, NOW + HOUR)
    assert ask(first, {meter.certificate.serial}) is None
    assert ask(second, {meter.certificate.serial}) is not None

    file = crl_files.path(Scope(authority.slug, 0))
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert ask(second, {meter.certificate.serial}) is None
    file.unlink()
    assert ask(second, {meter.certificate.serial}) is None


def test_an_authority_that_ended_publishes_no_more(meter):
    row = publish(meter.certificate.authority, 0, NOW)
    assert next_publication(row, row.authority.certificate.not_after + DAY) is None


@pytest.mark.parametrize("reason", [*crl.REASON_CODES, "unspecified"])
def test_the_first_entries_are_read_as_they_were_written(reason):
    made = issuer(KeyType.EC_P256)
    entries = [crl.Entry(0xFFFF + number, NOW + number * DAY, reason) for number in range(5)]
    built = crl.build(
        [crl.entry(each.serial, each.revoked_at, each.reason) for each in entries],
        issuer=made.certificate, key=made.key, number=7, this_update=NOW, next_update=NOW + DAY,
    )  # fmt: skip
    assert crl.read_first(built, 3) == entries[:3]
    assert crl.read_first(built, 9) == entries
    assert crl.find(built, [1, entries[4].serial]) == entries[4]
    assert crl.find(built, [1]) is None


def test_a_crl_without_entries_is_read_too():
    made = issuer(KeyType.EC_P256)
    built = crl.build([], issuer=made.certificate, key=made.key, number=7, this_update=NOW, next_update=NOW + DAY)
    assert crl.read_first(built, 3) == []


def test_the_newest_of_each_scope_is_known_in_one_query(django_assert_num_queries, meter):
    authority = meter.certificate.authority
    rows = [publish(authority, shard, NOW + number * HOUR) for number in range(2) for shard in (0, None)]
    with django_assert_num_queries(1):
        found = {row.pk: row.newest for row in Crl.objects.with_newest()}
    first, complete, newer, newer_complete = rows
    assert found[first.pk] == found[newer.pk] == {"id": newer.pk, "number": 2}
    assert found[complete.pk] == found[newer_complete.pk] == {"id": newer_complete.pk, "number": 2}
