"""Pages of campaigns, rehearsals, targets, work orders and gateways.

Of enrolment secrets a device's page shows the number; the pages that make them hang on those of devices, which
`certportal.admin` registers.
"""

from django.contrib import admin

from renewal.admin.campaign import CampaignAdmin
from renewal.admin.field import DeviceNoteAdmin, TeamAdmin, WorkOrderAdmin
from renewal.admin.gateway import GatewayAdmin
from renewal.admin.rehearsal import RehearsalAdmin
from renewal.admin.target import TargetAdmin
from renewal.models import Campaign, DeviceNote, Gateway, Rehearsal, Target, Team, WorkOrder

admin.site.register(Campaign, CampaignAdmin)
admin.site.register(Target, TargetAdmin)
admin.site.register(WorkOrder, WorkOrderAdmin)
admin.site.register(Team, TeamAdmin)
admin.site.register(DeviceNote, DeviceNoteAdmin)
admin.site.register(Gateway, GatewayAdmin)
admin.site.register(Rehearsal, RehearsalAdmin)
