"""Invariants of the rows: each one statement, whose rows are what breaks it."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import connection

from inventory.audit.append_only import trigger_is_on
from inventory.counters import checking
from inventory.importing import runs
from inventory.models import ImportRun, ImportState
from inventory.models.authority import ABOVE
from renewal import target_counts

# The sweep takes up an import a minute after its worker died.
_AN_IMPORT_MAY_STAND_STILL = timedelta(minutes=5)


def _broken(statement: str) -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        yield from (row for (row,) in cursor)


def counters_equal_the_rows_they_count(_now: datetime) -> Iterator[str]:
    yield from map(str, [*checking.differences(), *target_counts.differences()])


def each_certificate_of_ours_was_issued_by_one_audit_event(_now: datetime) -> Iterator[str]:
    yield from _broken("""
        SELECT format('certificate %s (%s) has %s events of its issue',
                      certificate.id, certificate.subject, told.number)
        FROM inventory_certificate certificate
        JOIN inventory_authority authority ON authority.id = certificate.authority_id AND authority.key_name IS NOT NULL
        CROSS JOIN LATERAL (
            SELECT count(*) AS number FROM inventory_auditevent event
            WHERE event.certificate_id = certificate.id
              AND event.action IN ('authority:certificate:established', 'certificate:enrolment:issued',
                                   'certificate:renewal:issued', 'certificate:infrastructure:issued')
        ) told
        WHERE told.number <> 1""")


def each_revocation_of_ours_is_in_the_audit_log(_now: datetime) -> Iterator[str]:
    yield from _broken("""
        SELECT format('certificate %s (%s) was revoked without an event', certificate.id, certificate.subject)
        FROM inventory_certificate certificate
        JOIN inventory_authority authority ON authority.id = certificate.authority_id AND authority.key_name IS NOT NULL
        WHERE certificate.state = 'revoked'
          AND NOT EXISTS (SELECT FROM inventory_auditevent event
                          WHERE event.certificate_id = certificate.id
                            AND event.action = 'certificate:revocation:done')""")


def no_key_is_certified_for_two_devices(_now: datetime) -> Iterator[str]:
    yield from _broken("""
        SELECT format('certificates %s have one key and are of devices %s',
                      string_agg(certificate.id::text, ', ' ORDER BY certificate.id),
                      string_agg(DISTINCT certificate.device_id::text, ', '))
        FROM inventory_certificate certificate
        JOIN inventory_authority authority ON authority.id = certificate.authority_id AND authority.key_name IS NOT NULL
        WHERE certificate.device_id IS NOT NULL
        GROUP BY certificate.spki_sha256 HAVING count(DISTINCT certificate.device_id) > 1""")


def nothing_was_issued_after_its_authority_was_revoked(_now: datetime) -> Iterator[str]:
    """An authority ends with every authority above it."""
    yield from _broken(f"""
        WITH RECURSIVE {ABOVE.format(start="a.key_name IS NOT NULL")}, ended AS (
            SELECT above.authority_id, min(own.revoked_at) AS revoked_at
            FROM above JOIN inventory_certificate own ON own.id = above.certificate_id AND own.state = 'revoked'
            GROUP BY 1
        )
        SELECT format('certificate %s (%s) was issued at %s, its authority revoked at %s',
                      certificate.id, certificate.subject, certificate.issued_at, ended.revoked_at)
        FROM ended JOIN inventory_certificate certificate ON certificate.authority_id = ended.authority_id
        WHERE certificate.purpose = 'device' AND certificate.issued_at > ended.revoked_at""")  # noqa: S608 - of constants


def no_device_with_an_open_case_got_a_certificate(_now: datetime) -> Iterator[str]:
    yield from _broken("""
        SELECT format('certificate %s (%s) was issued while case %s was open',
                      certificate.id, certificate.subject, investigation.id)
        FROM inventory_case investigation
        JOIN inventory_certificate certificate ON certificate.device_id = investigation.device_id
        JOIN inventory_authority authority ON authority.id = certificate.authority_id AND authority.key_name IS NOT NULL
        WHERE investigation.closed_at IS NULL AND certificate.state IN ('issued', 'confirmed')
          AND certificate.issued_at > investigation.opened_at""")


def whoever_never_had_a_certificate_has_none(_now: datetime) -> Iterator[str]:
    yield from _broken("""
        SELECT format('device %s is said never to have had a certificate, and has certificate %s',
                      device_id, certificate.id)
        FROM inventory_uncertifieddevice JOIN inventory_certificate certificate USING (device_id)""")


def what_certificates_and_events_refer_to_is_there(_now: datetime) -> Iterator[str]:
    yield from _broken("""
        SELECT format('certificate %s (%s) is of no device, authority or profile that there is',
                      certificate.id, certificate.subject)
        FROM inventory_certificate certificate
        LEFT JOIN inventory_device device ON device.id = certificate.device_id
        LEFT JOIN inventory_authority authority ON authority.id = certificate.authority_id
        LEFT JOIN inventory_profile profile ON profile.id = certificate.profile_id
        WHERE authority.id IS NULL
           OR device.id IS DISTINCT FROM certificate.device_id
           OR profile.id IS DISTINCT FROM certificate.profile_id
        UNION ALL
        SELECT format('event %s (%s) is of no device or certificate that there is', event.id, event.object_name)
        FROM inventory_auditevent event
        LEFT JOIN inventory_device device ON device.id = event.device_id
        LEFT JOIN inventory_certificate certificate ON certificate.id = event.certificate_id
        WHERE device.id IS DISTINCT FROM event.device_id
           OR certificate.id IS DISTINCT FROM event.certificate_id""")


def renewals_stay_with_their_device(_now: datetime) -> Iterator[str]:
    yield from _broken("""
        SELECT format('certificate %s (%s) renews or is superseded by one of another device, or itself',
                      certificate.id, certificate.subject)
        FROM inventory_certificate certificate
        LEFT JOIN inventory_certificate before ON before.id = certificate.predecessor_id
        LEFT JOIN inventory_certificate after ON after.id = certificate.successor_id
        WHERE before.device_id IS DISTINCT FROM certificate.device_id AND certificate.predecessor_id IS NOT NULL
           OR after.device_id IS DISTINCT FROM certificate.device_id AND certificate.successor_id IS NOT NULL
           OR certificate.id IN (certificate.predecessor_id, certificate.successor_id)""")


def a_certificate_is_superseded_by_one_that_was_used(_now: datetime) -> Iterator[str]:
    yield from _broken("""
        SELECT format('certificate %s (%s) is superseded by %s, which was never used',
                      old.id, old.subject, newer.id)
        FROM inventory_certificate old JOIN inventory_certificate newer ON newer.id = old.successor_id
        WHERE newer.activated_at IS NULL""")


def a_secret_gave_its_own_device_a_certificate(_now: datetime) -> Iterator[str]:
    yield from _broken("""
        SELECT format('secret %s of device %s gave certificate %s of another device',
                      secret.id, secret.device_id, certificate.id)
        FROM renewal_enrolmentsecret secret JOIN inventory_certificate certificate
            ON certificate.id = secret.certificate_id
        WHERE certificate.device_id IS DISTINCT FROM secret.device_id""")


def targets_are_of_their_campaign_and_device(_now: datetime) -> Iterator[str]:
    yield from _broken("""
        SELECT format('target %s of campaign %s names a certificate of another device, or a device of another fleet',
                      target.id, target.campaign_id)
        FROM renewal_target target
        LEFT JOIN renewal_campaign campaign ON campaign.id = target.campaign_id
        LEFT JOIN inventory_device device ON device.id = target.device_id
        LEFT JOIN inventory_certificate old ON old.id = target.certificate_id
        LEFT JOIN inventory_certificate renewed ON renewed.id = target.renewed_certificate_id
        WHERE old.device_id IS DISTINCT FROM target.device_id
           OR (device.fleet_id = campaign.fleet_id) IS NOT TRUE
           OR renewed.id IS NOT NULL AND renewed.device_id IS DISTINCT FROM target.device_id
           OR renewed.id = old.id
           OR target.state = 'confirmed' AND renewed.activated_at IS NULL""")


def no_import_runs_without_a_worker(now: datetime) -> Iterator[str]:
    """Of those at which nothing happens, ask who holds their lock."""
    still = ImportRun.objects.filter(state=ImportState.RUNNING, worked_at__lt=now - _AN_IMPORT_MAY_STAND_STILL)
    for run in still.order_by("pk"):
        if runs.nobody_works_on(run):
            yield f"import {run.pk} is running, but nobody has worked on it since {run.worked_at.isoformat()}"


def the_audit_log_is_append_only(_now: datetime) -> Iterator[str]:
    if not trigger_is_on():
        yield "trigger audit_is_append_only of inventory_auditevent is off or gone"
