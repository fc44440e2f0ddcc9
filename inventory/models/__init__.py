"""What we have: fleets, devices, certificates, authorities, profiles, imports, sightings, alerts, audit, counters."""

from inventory.models.access import FleetIds, FleetMembership, fleets_of
from inventory.models.alert import (
    Alert,
    AlertKind,
    AlertLevel,
    AlertPolicy,
    AlertRun,
    AppliesTo,
    Channel,
    Delivery,
    Mute,
    Recipient,
    Resolution,
    Urgency,
)
from inventory.models.audit import AuditAction, AuditEvent
from inventory.models.authority import Authority
from inventory.models.case import Case
from inventory.models.certificate import Certificate, CertificateState, CertificateStatus, Purpose, RevocationReason
from inventory.models.counters import (
    Axis,
    CertificateCount,
    CertificateDelta,
    CliffNotice,
    DeviceCount,
    DeviceDelta,
)
from inventory.models.delegated_key import DelegatedKey
from inventory.models.device import Connectivity, Device, DeviceStatus
from inventory.models.fleet import Batch, Fleet, Site
from inventory.models.importing import ColumnMapping, ImportRun, ImportState
from inventory.models.presence import DevicePresence
from inventory.models.profile import Profile
from inventory.models.proposal import Proposal, ProposalKind, ProposalState
from inventory.models.sighting import UnexpectedSighting
from inventory.models.uncertified import UncertifiedDevice

__all__ = [
    "Alert",
    "AlertKind",
    "AlertLevel",
    "AlertPolicy",
    "AlertRun",
    "AppliesTo",
    "AuditAction",
    "AuditEvent",
    "Authority",
    "Axis",
    "Batch",
    "Case",
    "Certificate",
    "CertificateCount",
    "CertificateDelta",
    "CertificateState",
    "CertificateStatus",
    "Channel",
    "CliffNotice",
    "ColumnMapping",
    "Connectivity",
    "DelegatedKey",
    "Delivery",
    "Device",
    "DeviceCount",
    "DeviceDelta",
    "DevicePresence",
    "DeviceStatus",
    "Fleet",
    "FleetIds",
    "FleetMembership",
    "ImportRun",
    "ImportState",
    "Mute",
    "Profile",
    "Proposal",
    "ProposalKind",
    "ProposalState",
    "Purpose",
    "Recipient",
    "Resolution",
    "RevocationReason",
    "Site",
    "UncertifiedDevice",
    "UnexpectedSighting",
    "Urgency",
    "fleets_of",
]
