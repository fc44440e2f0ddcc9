"""Pages of the inventory.

The pages of devices, expired ones among them, and certificates are registered by `certportal.admin`, which adds what
renewal knows of them.
"""

from django.contrib import admin

from inventory.admin.alert_settings import AlertPolicyAdmin, DeliveryAdmin, MuteAdmin, RecipientAdmin
from inventory.admin.alerts import AlertAdmin
from inventory.admin.approvals import ProposalAdmin
from inventory.admin.audit import AuditEventAdmin
from inventory.admin.cases import CaseAdmin
from inventory.admin.certificate import CertificateAdmin
from inventory.admin.configuration import AuthorityAdmin, BatchAdmin, FleetAdmin, ProfileAdmin, SiteAdmin
from inventory.admin.device import DeviceAdmin
from inventory.admin.importing import ColumnMappingAdmin, ImportRunAdmin
from inventory.admin.queues import ExpiredDeviceAdmin, RevokedDeviceAdmin
from inventory.admin.sightings import UnexpectedSightingAdmin
from inventory.models import (
    Alert,
    AlertPolicy,
    AuditEvent,
    Authority,
    Batch,
    Case,
    ColumnMapping,
    Delivery,
    Fleet,
    ImportRun,
    Mute,
    Profile,
    Proposal,
    Recipient,
    Site,
    UnexpectedSighting,
)
from inventory.models.device import RevokedDevice

__all__ = ["CertificateAdmin", "DeviceAdmin", "ExpiredDeviceAdmin"]

admin.site.register(Fleet, FleetAdmin)
admin.site.register(Site, SiteAdmin)
admin.site.register(Batch, BatchAdmin)
admin.site.register(Profile, ProfileAdmin)
admin.site.register(Authority, AuthorityAdmin)
admin.site.register(AuditEvent, AuditEventAdmin)
admin.site.register(UnexpectedSighting, UnexpectedSightingAdmin)
admin.site.register(Case, CaseAdmin)
admin.site.register(Proposal, ProposalAdmin)
admin.site.register(ImportRun, ImportRunAdmin)
admin.site.register(ColumnMapping, ColumnMappingAdmin)
admin.site.register(Alert, AlertAdmin)
admin.site.register(AlertPolicy, AlertPolicyAdmin)
admin.site.register(Recipient, RecipientAdmin)
admin.site.register(Mute, MuteAdmin)
admin.site.register(Delivery, DeliveryAdmin)
admin.site.register(RevokedDevice, RevokedDeviceAdmin)
