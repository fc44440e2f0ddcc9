"""What we have: fleets, devices, certificates, authorities, profiles, odd sightings and the audit log."""

from inventory.models.audit import AuditAction, AuditEvent
from inventory.models.authority import Authority
from inventory.models.certificate import Certificate, CertificateState, Purpose, RevocationReason, ShownState
from inventory.models.device import Connectivity, Device, DeviceStatus
from inventory.models.fleet import Batch, Fleet, Site
from inventory.models.importing import ColumnMapping, ImportRun, ImportState
from inventory.models.profile import Profile
from inventory.models.sighting import OddSighting

__all__ = [
    "AuditAction",
    "AuditEvent",
    "Authority",
    "Batch",
    "Certificate",
    "CertificateState",
    "ColumnMapping",
    "Connectivity",
    "Device",
    "DeviceStatus",
    "Fleet",
    "ImportRun",
    "ImportState",
    "OddSighting",
    "Profile",
    "Purpose",
    "RevocationReason",
    "ShownState",
    "Site",
]
