"""What the database refuses, whoever writes to it: each constraint asked in SQL, past every validation of ours."""

import re
from datetime import timedelta

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import CheckConstraint, UniqueConstraint

from certportal.models import User
from inventory.models import (
    Alert,
    AlertLevel,
    AlertPolicy,
    AlertRun,
    AuditAction,
    Authority,
    Batch,
    Case,
    Certificate,
    CertificateCount,
    CertificateState,
    CliffNotice,
    Delivery,
    Device,
    Fleet,
    FleetMembership,
    ImportRun,
    Mute,
    Profile,
    Proposal,
    Recipient,
    RevocationReason,
    Site,
    UnexpectedSighting,
)
from renewal.models import (
    Attempt,
    Campaign,
    CampaignDay,
    CoverageCount,
    EarlyReceipt,
    EnrolmentSecret,
    Forecast,
    Gateway,
    GatewayDay,
    Healing,
    RefusalTally,
    Rehearsal,
    Target,
    Team,
    Ticket,
    Wave,
    WorkOrder,
)
from tests.factories import DAY, NOW, device, enrolled, fleet, person
from tests.renewal.rows import campaign_with_targets, secret_of

pytestmark = [pytest.mark.django_db, pytest.mark.long]
OURS = ("inventory", "renewal")

# constraint, table, assignments of an UPDATE that must not pass
REFUSED = [
    ("alert_acknowledged_by_somebody", Alert, "acknowledged_at = now()"),
    ("alert_acknowledged_by_somebody", Alert, "acknowledged_by = 'ops'"),
    ("alert_channel_known", Recipient, "channel = 'fax'"),
    ("alert_delivery_one_digest_a_run", Delivery, "recipient_id = (SELECT min(id) FROM inventory_recipient)"),
    ("alert_kind_known", Alert, "kind = 'weather'"),
    ("alert_level_once_in_policy", AlertLevel, "number = 3"),
    ("alert_level_takes_time", AlertLevel, "number = 0"),
    ("alert_level_takes_time", AlertLevel, "repeat_every = interval '0'"),
    ("alert_level_takes_time", AlertLevel, "silence = interval '0'"),
    ("alert_names_its_subject", Alert, "certificate_id = NULL"),
    ("alert_names_its_subject", Alert, "about = 'x'"),
    ("alert_names_its_subject", Alert, "kind = 'crl', about = 'x'"),
    ("alert_once_for_certificate_and_threshold", Alert, "threshold = 1"),
    ("alert_open_once_for_own", Alert, "kind = 'crl', urgency = 0, about = 'x', threshold = 1"),
    ("alert_policy_one_for_a_scope", AlertPolicy, "applies_to = 'daily'"),
    ("alert_policy_scope_known", AlertPolicy, "applies_to = 'never'"),
    ("alert_policy_thresholds_iff_devices", AlertPolicy, "thresholds = '{{}}'"),
    ("alert_policy_thresholds_iff_devices", AlertPolicy, "applies_to = 'portal'"),
    ("alert_recipient_named_once", Recipient, "address = 'same'"),
    ("alert_resolved_has_date_and_reason", Alert, "resolved_at = now()"),
    ("alert_resolved_has_date_and_reason", Alert, "resolution = 'renewed'"),
    ("alert_resolved_has_date_and_reason", Alert, "resolution = 'forgotten', resolved_at = now()"),
    ("alert_run_one_unfinished", AlertRun, "finished_at = NULL"),
    ("alert_told_in_a_run", Alert, "notified_at = now()"),
    ("audit_action_in_vocabulary", "INSERT", "'certificate:wish:granted'"),
    ("authority_has_a_crl_shard", Authority, "crl_shards = 0"),
    ("authority_not_its_own_parent", Authority, "parent_id = id"),
    ("authority_own_or_external", Authority, "key_name = NULL"),
    ("authority_own_or_external", Authority, "external_identity = int8send(id)"),
    ("batch_name_unique_in_fleet", Batch, "name = 'same'"),
    ("campaign_due_or_evergreen", Campaign, "due_at = NULL"),
    ("campaign_due_or_evergreen", Campaign, "joins_within = '90 days'"),
    ("campaign_failures_are_shares", Campaign, "failures_to_open = 0"),
    ("campaign_failures_are_shares", Campaign, "failures_to_pause = 1"),
    ("campaign_pace_positive", Campaign, "triggers_per_minute = 0"),
    ("campaign_pace_positive", Campaign, "triggers_per_minute_and_site = 0"),
    ("campaign_paused_has_time", Campaign, "state = 'paused'"),
    ("campaign_paused_has_time", Campaign, "paused_at = now()"),
    ("campaign_selects_a_span", Campaign, "expires_before = expires_from"),
    ("campaign_state_known", Campaign, "state = 'resting'"),
    ("campaign_wave_size_positive", Campaign, "wave_size = 0"),
    ("campaign_window_is_whole", Campaign, "window_from = '22:00'"),
    ("campaign_window_is_whole", Campaign, "window_from = '22:00', window_to = '22:00'"),
    ("campaignday_once", CampaignDay, "day = '2027-01-01'"),
    ("case_closed_with_an_outcome", Case, "closed_at = now()"),
    ("case_closed_with_an_outcome", Case, "outcome = 'cleared'"),
    ("case_one_open_for_a_revocation", Case, "certificate_id = {certificate}"),
    ("case_outcome_was_proposed", Case, "closed_at = now(), outcome = 'retired'"),
    ("case_outcome_was_proposed", Case, "proposal = 'forgiven'"),
    ("certificate_confirmed_was_used", Certificate, "state = 'confirmed', activated_at = NULL"),
    ("certificate_device_iff_purpose", Certificate, "purpose = 'tls_server'"),
    ("certificate_device_iff_purpose", Certificate, "device_id = NULL"),
    ("certificate_ends_after_it_begins", Certificate, "not_after = not_before"),
    ("certificate_fingerprint_unique", Certificate, "sha256 = '\\x00'"),
    ("certificate_one_renewal_for_a_key", Certificate, "predecessor_id = {certificate}, spki_sha256 = '\\x00'"),
    ("certificate_revoked_has_date_and_reason", Certificate, "state = 'revoked'"),
    ("certificate_revoked_has_date_and_reason", Certificate, "state = 'revoked', revoked_at = now()"),
    ("certificate_revoked_has_date_and_reason", Certificate, "revoked_at = now()"),
    ("certificate_revoked_has_date_and_reason", Certificate, "revocation_reason = 'keyCompromise'"),
    (
        "certificate_revoked_has_date_and_reason",
        Certificate,
        "state = 'revoked', revoked_at = now(), revocation_reason = 'certificateHold'",
    ),
    ("certificate_issuance_index_32_bits", Certificate, "issuance_index = -1"),
    ("certificate_issuance_index_32_bits", Certificate, "issuance_index = 4294967296"),
    ("certificate_issuance_index_unique_for_issuer", Certificate, "issuance_index = 7"),
    ("certificate_serial_hex", Certificate, "serial = '0a'"),
    ("certificate_serial_hex", Certificate, "serial = 'AB'"),
    ("certificate_serial_hex", Certificate, "serial = ''"),
    ("certificate_serial_hex", Certificate, "serial = E'ab\\n'"),
    ("certificate_serial_unique_for_issuer", Certificate, "serial = 'ab'"),
    ("certificate_state_known", Certificate, "state = 'expired'"),
    ("certificate_superseded_has_successor", Certificate, "state = 'superseded'"),
    ("certificatecount_one_row_a_group", CertificateCount, "day = '2030-01-01'"),
    ("cliffnotice_one_a_day", CliffNotice, "day = '2030-01-01'"),
    ("coveragecount_one_row_a_day", CoverageCount, "day = '2030-01-01'"),
    ("device_batch_of_its_fleet", Device, "batch_id = {batch_elsewhere}"),
    ("device_batch_of_its_fleet", Device, "batch_id = 0"),
    ("device_site_of_its_fleet", Device, "site_id = {site_elsewhere}"),
    ("device_site_of_its_fleet", Device, "site_id = 0"),
    ("device_connectivity_known", Device, "connectivity = 'weekly'"),
    ("device_coordinates_are_on_earth", Device, "latitude = 90.000001, longitude = 0"),
    ("device_coordinates_are_on_earth", Device, "latitude = 0, longitude = -180.000001"),
    ("device_coordinates_are_on_earth", Device, "latitude = 5, longitude = NULL"),
    ("device_mqtt_id_is_plain", Device, "mqtt_id = 'a/b'"),
    ("device_mqtt_id_is_plain", Device, "mqtt_id = '#'"),
    ("device_mqtt_id_is_plain", Device, "mqtt_id = '+'"),
    ("device_mqtt_id_is_plain", Device, "mqtt_id = E'a\\n'"),
    ("device_mqtt_id_unique_in_fleet", Device, "mqtt_id = 'same'"),
    ("device_phone_number_is_e164", Device, "phone_number = '0123456789'"),
    ("device_phone_number_is_e164", Device, "phone_number = E'+60123456789\\n'"),
    ("device_phone_number_is_e164", Device, "phone_number = '+601234'"),
    ("device_serial_is_plain", Device, "serial = '../etc'"),
    ("device_serial_is_plain", Device, "serial = ''"),
    ("device_serial_is_plain", Device, "serial = '-x'"),
    ("device_serial_is_plain", Device, "serial = 'a:b'"),
    ("device_serial_is_plain", Device, "serial = E'SM1\\n'"),
    ("device_serial_is_plain", Device, "serial = 'SMé'"),
    ("device_serial_unique_in_fleet", Device, "serial = 'same'"),
    ("device_status_known", Device, "status = 'lost'"),
    ("fleetmembership_once", FleetMembership, "user_id = (SELECT min(id) FROM certportal_user)"),
    ("import_finished_has_a_time", ImportRun, "state = 'finished'"),
    ("gateway_channel_known", Gateway, "channel = 'fax'"),
    ("gateway_cost_not_negative", Gateway, "cost = -0.01"),
    ("gateway_driver_known", Gateway, "driver = 'pigeon'"),
    ("gateway_one_enabled_for_channel_and_fleet", Gateway, "enabled = true"),
    ("gateway_quiet_hours_whole", Gateway, "quiet_from = '22:00'"),
    ("gateway_quiet_hours_whole", Gateway, "quiet_from = '22:00', quiet_to = '22:00'"),
    ("gatewayday_once", GatewayDay, "gateway_id = (SELECT min(id) FROM renewal_gateway)"),
    ("healing_is_a_share", Healing, "healed = devices + 1"),
    ("healing_one_row_a_week", Healing, "weeks = 1"),
    ("import_state_known", ImportRun, "state = 'lost'"),
    ("mute_ends_and_has_a_reason", Mute, "reason = ''"),
    ("mute_ends_and_has_a_reason", Mute, "until = created_at"),
    ("mute_of_one_thing", Mute, "about = 'x'"),
    ("mute_of_one_thing", Mute, "certificate_id = NULL"),
    ("unexpectedsighting_oddity_known", UnexpectedSighting, "oddity = 'strange'"),
    ("unexpectedsighting_once_a_source", UnexpectedSighting, "name = 'same'"),
    ("unexpectedsighting_was_seen", UnexpectedSighting, "count = 0"),
    ("unexpectedsighting_was_seen", UnexpectedSighting, "last_seen_at = first_seen_at - interval '1 second'"),
    ("profile_allows_a_renewal", Profile, "max_unconfirmed = 0"),
    (
        "proposal_decided_by_a_second_person",
        Proposal,
        "state = 'rejected', ended_at = proposed_at, decider_id = proposer_id",
    ),
    ("proposal_expires_later", Proposal, "expires_at = proposed_at"),
    ("proposal_kind_known", Proposal, "kind = 'device:wish:granted'"),
    ("proposal_one_waits_for_a_subject", Proposal, "subject = 'same'"),
    ("proposal_state_fits_its_end", Proposal, "state = 'approved', ended_at = proposed_at"),
    ("proposal_state_fits_its_end", Proposal, "state = 'approved', ended_at = expires_at, decider_id = {bob}"),
    ("proposal_state_fits_its_end", Proposal, "state = 'expired', ended_at = proposed_at"),
    ("proposal_state_fits_its_end", Proposal, "state = 'withdrawn'"),
    ("proposal_state_fits_its_end", Proposal, "state = 'done', ended_at = expires_at"),
    ("proposal_state_fits_its_end", Proposal, "decider_id = {bob}"),
    ("profile_jitter_not_negative", Profile, "jitter_max = interval '-1 second'"),
    ("profile_key_types_known", Profile, "key_types = '{{}}'"),
    ("profile_key_types_known", Profile, "key_types = '{{rsa-1024}}'"),
    ("profile_validity_positive", Profile, "validity = interval '0', renewal_window = interval '0'"),
    ("profile_window_within_validity", Profile, "renewal_window = validity + interval '1 second'"),
    ("profile_window_within_validity", Profile, "renewal_window = interval '0'"),
    ("secret_spent_iff_certificate", EnrolmentSecret, "spent_at = now()"),
    ("secret_spent_iff_certificate", EnrolmentSecret, "certificate_id = {certificate}"),
    ("site_name_unique_in_fleet", Site, "name = 'same'"),
    ("receipt_result_known", EarlyReceipt, "result = 'lost'"),
    ("team_name_unique_in_fleet", Team, "name = 'same'"),
    ("ticket_opened_has_reference", Ticket, "opened_at = now()"),
    ("workorder_closed_with_outcome", WorkOrder, "closed_at = now()"),
    ("workorder_closed_with_outcome", WorkOrder, "outcome = 'renewed'"),
    ("workorder_outcome_known", WorkOrder, "outcome = 'lost', closed_at = now()"),
    ("workorder_person_of_a_team", WorkOrder, "assigned_to_id = {bob}"),
    ("workorder_replaced_by_which", WorkOrder, "outcome = 'replaced', closed_at = now()"),
    ("target_confirmed_has_time", Target, "confirmed_at = now()"),
    (
        "target_confirmed_has_time",
        Target,
        "state = 'confirmed', issued_at = now(), renewed_certificate_id = certificate_id",
    ),
    ("target_certificate_once_in_campaign", Target, "device_id = {device}, certificate_id = {certificate}"),
    ("wave_once_in_campaign", Wave, "number = 7"),
    ("forecast_once", Forecast, "horizon_days = 7"),
    ("forecast_scored_whole", Forecast, "open_came = 1"),
    ("target_issued_names_certificate", Target, "state = 'issued'"),
    ("target_issued_names_certificate", Target, "state = 'issued', renewed_certificate_id = certificate_id"),
    ("target_state_known", Target, "state = 'lost'"),
    ("target_with_a_next_step_is_asked", Target, "state = 'escalated'"),
    ("target_with_a_next_step_is_asked", Target, "state = 'failed'"),
    ("tally_once_a_window_and_network", RefusalTally, "network = 'same'"),
    ("rehearsal_state_fits_its_end", Rehearsal, "state = 'resting'"),
    ("rehearsal_state_fits_its_end", Rehearsal, "state = 'finished', finished_at = now()"),
    ("rehearsal_state_fits_its_end", Rehearsal, "state = 'failed', finished_at = now()"),
    ("rehearsal_state_fits_its_end", Rehearsal, "state = 'failed', problem = 'x'"),
    ("rehearsal_state_fits_its_end", Rehearsal, "finished_at = now()"),
    ("rehearsal_state_fits_its_end", Rehearsal, "result = '{{}}'"),
    ("attempt_number_unique_in_target", Attempt, "number = 7, target_id = {target}"),
]


@pytest.fixture(scope="class")
def rows(class_db):
    """Two rows of every table, good by all rules."""
    meters = [enrolled(expires_in=days * DAY) for days in (20, 30)]
    for name in ("a", "b"):
        FleetMembership.objects.create(user=User.objects.create_user(name), fleet=fleet())
        Site.objects.create(fleet=fleet(), name=name)
        Batch.objects.create(fleet=fleet(), name=name)
        secret_of(device())
        UnexpectedSighting.objects.create(
            oddity="unknown", name=name, source="x", first_seen_at=NOW, last_seen_at=NOW, count=1
        )
    elsewhere = {model: model.objects.create(fleet=fleet("other"), name="a") for model in (Site, Batch)}
    targets = campaign_with_targets(meters)
    Wave.objects.create(campaign=targets[0].campaign, number=7, size=1, first_end=NOW)
    for days in range(2):
        CampaignDay.objects.create(campaign=targets[0].campaign, day=NOW + days * DAY, at=NOW, targets={})
        Forecast.objects.create(
            campaign=targets[0].campaign, made_on=NOW, made_at=NOW, horizon_days=days, for_at=NOW,
            open_p50=0, open_p90=0, missed_p50=0, missed_p90=0,
        )  # fmt: skip
    for target in targets:
        Attempt.objects.create(target=target, number=1, channel="mqtt", at=NOW)
    for number, target in enumerate(targets):
        order = WorkOrder.objects.create(target=target, device=target.device, opened_at=NOW, due_at=NOW)
        Ticket.objects.create(order=order)
        Team.objects.create(fleet=fleet(), name=f"t{number}")
        sms = Gateway.objects.create(name=f"g{number}", channel="sms", driver="console")
        GatewayDay.objects.create(gateway=sms, day=NOW, sent=0)
        EarlyReceipt.objects.create(reference=f"r{number}", result="delivered", at=NOW, received_at=NOW)
        Healing.objects.create(fleet_id=1, site_id=None, connectivity="daily", weeks=2 + number, devices=1, healed=0)
    for name in ("a.csv", "b.csv"):
        ImportRun.objects.create(
            source=name, format="csv", actor_kind="system", actor="x", started_at=NOW, worked_at=NOW
        )
    alerting(meters[0].certificate)
    counting()
    for _run in range(2):
        Rehearsal.objects.create(asked_by="x", asked_at=NOW, worked_at=NOW, devices=50, seed=1, scenario={})
    for network in ("192.0.2.1/32", "198.51.100.1/32"):
        RefusalTally.objects.create(
            action="certificate:enrolment:refused", window=NOW, network=network, count=1, first_at=NOW, last_at=NOW
        )
    ann, bob = person("ann"), person("bob")
    for meter in meters:
        approval = Proposal.objects.create(
            kind="device:case:verdict", subject=f"certificate:{meter.certificate.pk}", title="x", payload="{}",
            reason="x", proposer_id=ann.user_id, proposed_at=NOW, expires_at=NOW + DAY, sha256=b"x",
        )  # fmt: skip
        Case.objects.create(
            device=meter.device, certificate=meter.certificate, proposal="cleared", approval=approval, opened_at=NOW
        )
    return {
        "certificate": meters[0].certificate.pk,
        "device": meters[0].device.pk,
        "target": targets[0].pk,
        "site_elsewhere": elsewhere[Site].pk,
        "batch_elsewhere": elsewhere[Batch].pk,
        "bob": bob.user_id,
    }


def counting() -> None:
    # None is a group as well: what stands at no site is counted in one row.
    numbers = dict.fromkeys(("issued", "unconfirmed", "confirmed", "superseded", "revoked"), 1)
    for day in (NOW.date(), NOW.date() + DAY):
        CertificateCount.objects.create(axis="site", fleet_id=fleet().pk, group_id=None, day=day, **numbers)
        CliffNotice.objects.create(fleet=fleet(), day=day, count=1, noticed_at=NOW, grew_at=NOW)
        CoverageCount.objects.create(
            fleet_id=fleet().pk, day=day, renewed=0, renewed_ended=0, in_campaign=0, counted_at=NOW
        )


def alerting(certificate: Certificate) -> None:
    run = AlertRun.objects.create(started_at=NOW, finished_at=NOW)
    AlertRun.objects.create(started_at=NOW, finished_at=NOW)
    policies = [
        AlertPolicy.objects.create(name=scope, applies_to=scope, thresholds=[90]) for scope in ("daily", "always_on")
    ]
    for number in (1, 2):
        AlertLevel.objects.create(policy=policies[0], number=number, repeat_every=DAY, silence=DAY)
        to = Recipient.objects.create(name=f"r{number}", channel="email", address=f"r{number}@example.org")
        Delivery.objects.create(run=run, recipient=to, content={}, certificates=1, created_at=NOW)
        Mute.objects.create(certificate=certificate, until=NOW + DAY, reason="r", created_at=NOW, created_by="ops")
        Alert.objects.create(
            kind="device_expiry", urgency=1, certificate=certificate, policy=policies[0], threshold=30 * number,
            ends_at=NOW, raised_at=NOW, level_since=NOW,
        )  # fmt: skip


class TestRefusals:
    @pytest.mark.parametrize(
        ("constraint", "model", "change"), REFUSED, ids=lambda value: getattr(value, "__name__", value)
    )
    def test_the_database_refuses(self, rows, constraint, model, change):
        if model == "INSERT":
            columns = "at, action, actor_kind, actor, request_id, object_name, details"
            values = f"now(), {change}, 'system', 'x', '', 'x', '{{}}'"
            statement = f"INSERT INTO inventory_auditevent ({columns}) VALUES ({values})"  # noqa: S608 - the table above
        else:
            only_devices = "WHERE purpose = 'device'" if model is Certificate else ""
            statement = f"UPDATE {model._meta.db_table} SET {change.format(**rows)} {only_devices}"  # noqa: S608 - as above
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic(), connection.cursor() as cursor:
            if model is Proposal:  # whose trigger is in front of the constraints
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE inventory_proposal DISABLE TRIGGER USER")
            cursor.execute(statement)

    def test_what_others_stand_on_cannot_be_deleted(self, rows):
        for model in (Fleet, Profile, Authority, Device, Certificate):
            with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"DELETE FROM {model._meta.db_table}")  # noqa: S608 - a name of ours
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize("model", [Site, Batch])
def test_a_group_with_devices_stays_in_its_fleet(rows, model):
    group = model.objects.filter(fleet=fleet()).first()
    Device.objects.filter(fleet=fleet()).update(**{model._meta.model_name: group})
    with pytest.raises(IntegrityError, match="_of_its_fleet"), transaction.atomic():
        model.objects.filter(pk=group.pk).update(fleet=fleet("other"), name="new there")


def test_every_constraint_of_ours_has_its_refusal_in_the_table():
    declared = {
        constraint.name
        for label in OURS
        for model in apps.get_app_config(label).get_models()
        for constraint in model._meta.constraints
        if isinstance(constraint, CheckConstraint | UniqueConstraint)
    }
    assert declared - {constraint for constraint, *_ in REFUSED} == set()


def test_no_model_waits_for_a_migration():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("inventory_audit_action_known", AuditAction),
        ("inventory_certificate_state_known", CertificateState),
        ("inventory_revocation_reason_known", RevocationReason),
    ],
)
def test_the_database_knows_the_words_of_a_vocabulary_and_no_other(function, words):
    with connection.cursor() as cursor:
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = %s", [function])
        [(source,)] = cursor.fetchall()
    assert sorted(re.findall(r"'([^']*)'", source)) == sorted(words.values)


@pytest.fixture
def empty_schema(transactional_db):
    """Let this connection see nothing. Not in a transaction: indexes are made concurrently."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA elsewhere")
        cursor.execute("SET search_path TO elsewhere")
        yield
        cursor.execute("RESET search_path")
        cursor.execute("DROP SCHEMA elsewhere CASCADE")


@pytest.mark.usefixtures("empty_schema")
def test_migrations_go_up_from_nothing_down_to_nothing_and_up_again():
    call_command("migrate", verbosity=0)
    up = set(connection.introspection.table_names())
    # And with it all that stands on it.
    call_command("migrate", "inventory", "zero", verbosity=0)
    down = connection.introspection.table_names()
    assert [name for name in down if name.startswith((*OURS, "revocation"))] == []
    call_command("migrate", verbosity=0)
    assert set(connection.introspection.table_names()) == up


# --- Questions ------------------------------------------------------------------------------------------------------


def test_each_question_about_dates_is_exact_to_the_second():
    second = timedelta(seconds=1)
    certificate = enrolled(expires_in=30 * DAY).certificate
    begin, end = certificate.not_before, certificate.not_after
    questions = Certificate.objects.of_devices()
    assert [questions.valid(moment).exists() for moment in (begin - second, begin, end, end + second)] == [
        False,
        True,
        True,
        False,
    ]
    assert [questions.expired(moment).exists() for moment in (end, end + second)] == [False, True]
    assert questions.expiring_between(end, end + second).exists()
    assert not questions.expiring_between(end - second, end).exists()
    assert not questions.expiring_within(30 * DAY, NOW).exists()
    assert questions.expiring_within(30 * DAY + second, NOW).exists()
