"""What must hold of the fleet at any moment, asked of the database."""

from contextlib import suppress

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.e2e.running_portal import RunningPortal

# Each names rows that must not exist.
_VIOLATIONS = {
    "a serial number twice from one issuer": (
        "SELECT authority_id, serial FROM inventory_certificate GROUP BY 1, 2 HAVING count(*) > 1"
    ),
    "a certificate whose issue is not in the audit log exactly once": (
        "SELECT c.id, count(e.id) FROM inventory_certificate c LEFT JOIN inventory_auditevent e "
        "ON e.certificate_id = c.id "
        "AND e.action IN ('certificate:enrolment:issued', 'certificate:renewal:issued', "
        "'certificate:infrastructure:issued', 'authority:certificate:established') "
        "GROUP BY c.id HAVING count(e.id) <> 1"
    ),
    "an audit entry of an issue without its certificate": (
        "SELECT id FROM inventory_auditevent WHERE action LIKE 'certificate:%:issued' AND certificate_id IS NULL"
    ),
    "a certificate renewed twice": (
        "SELECT predecessor_id FROM inventory_certificate WHERE predecessor_id IS NOT NULL "
        "GROUP BY 1 HAVING count(*) > 1"
    ),
    "a device triggered twice within its retry interval": (
        "SELECT later.id FROM renewal_attempt later JOIN renewal_attempt earlier USING (target_id) "
        "JOIN renewal_target t ON t.id = later.target_id JOIN renewal_campaign c ON c.id = t.campaign_id "
        "JOIN inventory_device d ON d.id = t.device_id WHERE later.number > earlier.number AND later.at < earlier.at "
        "+ make_interval(secs => (c.ladder -> d.connectivity -> earlier.rung ->> 'patience')::float8)"
    ),
    "an old certificate that was given up before its successor was used": (
        "SELECT old.id FROM inventory_certificate old LEFT JOIN inventory_certificate new ON new.id = old.successor_id "
        "WHERE old.state = 'superseded' AND new.activated_at IS NULL"
    ),
    # The tick that moves the target may not have come yet: what counts is whether the device has used its new one.
    "a target on its way whose old certificate is no longer valid": (
        "SELECT t.id FROM renewal_target t JOIN inventory_certificate old ON old.id = t.certificate_id "
        "LEFT JOIN inventory_certificate new ON new.predecessor_id = old.id "
        "WHERE t.state IN ('triggered', 'issued') AND new.activated_at IS NULL "
        "AND (old.state <> 'confirmed' OR old.not_after < now())"
    ),
    "a confirmed target whose new certificate was never used, or ends no later": (
        "SELECT t.id FROM renewal_target t JOIN inventory_certificate old ON old.id = t.certificate_id "
        "JOIN inventory_certificate new ON new.id = t.renewed_certificate_id "
        "WHERE t.state = 'confirmed' AND (new.activated_at IS NULL OR new.predecessor_id <> old.id "
        "OR new.not_after <= old.not_after)"
    ),
    "a device with two certificates in use": (
        "SELECT device_id FROM inventory_certificate WHERE state = 'confirmed' AND device_id IS NOT NULL "
        "GROUP BY 1 HAVING count(*) > 1"
    ),
}


def assert_sound(portal: RunningPortal) -> None:
    """Fail with the rows that break a rule."""
    with portal.database() as connection:
        for rule, query in _VIOLATIONS.items():
            found = connection.execute(query).fetchmany(5)
            assert not found, f"{rule}: {found}"


def assert_flash_is_in_the_inventory(portal: RunningPortal) -> None:
    """Fail when a live meter holds a certificate that the portal does not know: it must have left after its commit."""
    held = {}
    for flash in (portal.home / "demo" / "devices").glob("*/*.pem"):
        # Replaced under our eyes by a meter that switches over.
        with suppress(FileNotFoundError):
            held[x509.load_pem_x509_certificate(flash.read_bytes()).public_bytes(Encoding.DER)] = flash
    known = {bytes(der) for (der,) in portal.rows("SELECT der FROM inventory_certificate WHERE device_id IS NOT NULL")}
    assert held
    assert [flash for der, flash in held.items() if der not in known] == []


def targets(portal: RunningPortal) -> dict[str, int]:
    """Return how many targets of all campaigns are in each state."""
    return dict(portal.rows("SELECT state, count(*) FROM renewal_target GROUP BY 1"))


def confirmed(portal: RunningPortal) -> int:
    return targets(portal).get("confirmed", 0)
