"""The demo as somebody watches it: triggered meters renew by real EST, and what they leave stays valid until then."""

import json

import pytest
from cryptography import x509

from tests.e2e.fleet_facts import assert_sound, confirmed, targets
from tests.e2e.peers import run
from tests.e2e.running_portal import until

_ENOUGH = 40
# Two minutes where nothing else works; a slow machine is no fault.
_SECONDS = 900


@pytest.fixture
def renewed(portal):
    """Watch until enough meters have renewed, and look at the rules each time."""
    size = sum(targets(portal).values())

    def enough() -> bool:
        assert_sound(portal)
        assert sum(targets(portal).values()) == size
        return confirmed(portal) >= _ENOUGH

    until(enough, seconds=_SECONDS, what=f"The renewal of {_ENOUGH} meters")


def test_triggered_meters_renew_and_are_confirmed_within_minutes(portal, renewed):
    unlike = portal.number(
        "SELECT count(*) FROM renewal_target WHERE state = 'confirmed' AND NOT "
        "(triggered_at <= issued_at AND issued_at <= confirmed_at)"
    )
    assert unlike == 0
    # Each live meter was told over MQTT first. Where an answer takes longer than the patience of that step, the next
    # one follows: `assert_sound` watches that it never comes early.
    assert portal.number(
        "SELECT count(*) FROM renewal_target t JOIN inventory_device d ON d.id = t.device_id AND d.mqtt_id <> '' "
        "WHERE t.state = 'confirmed' AND t.triggered_at IS NOT NULL AND NOT EXISTS ("
        "SELECT FROM renewal_attempt a WHERE a.target_id = t.id "
        "AND a.number = 1 AND a.channel = 'mqtt' AND a.outcome IN ('sent', 'delivered'))"
    ) == 0  # fmt: skip


def test_the_meter_holds_what_the_inventory_has_and_the_old_one_is_still_good(portal, renewed, curl, tmp_path):
    serial, der, old, issuer = portal.rows(
        "SELECT d.serial, new.der, old.serial, issuer.der FROM renewal_target t "
        "JOIN inventory_device d ON d.id = t.device_id "
        "JOIN inventory_certificate new ON new.id = t.renewed_certificate_id "
        "JOIN inventory_certificate old ON old.id = t.certificate_id "
        "JOIN inventory_authority a ON a.id = new.authority_id "
        "JOIN inventory_certificate issuer ON issuer.id = a.certificate_id "
        # Other tests of this portal plant targets that nobody was ever asked for.
        "WHERE t.state = 'confirmed' AND EXISTS (SELECT FROM renewal_attempt a WHERE a.target_id = t.id) "
        "ORDER BY t.confirmed_at LIMIT 1"
    )[0]
    flash = portal.home / "demo" / "devices" / serial / "current.pem"
    assert x509.load_pem_x509_certificate(flash.read_bytes()) == x509.load_der_x509_certificate(bytes(der))
    issuer_file = tmp_path / "issuer.der"
    issuer_file.write_bytes(bytes(issuer))
    answer = run(
        "openssl", "ocsp", "-issuer", issuer_file, "-serial", f"0x{old}", "-url", f"{portal.status_url}/ocsp/mfg-1/",
        "-CAfile", portal.root, "-verify_other", issuer_file,
    )  # fmt: skip
    # Superseded is not revoked: who still meets the old certificate may go on believing it until its end.
    assert ": good" in answer.output, answer.output


def test_the_logs_are_json_and_hold_no_failure(portal, renewed):
    for log in (portal.home / "log").glob("*.log"):
        if log.stem in ("postgres", "valkey"):
            continue
        for line in log.read_text().splitlines():
            entry = json.loads(line)
            assert entry["level"] not in ("error", "critical"), (log.name, line)


def test_the_doctor_finds_nothing(portal, renewed):
    assert portal.manage("doctor")
