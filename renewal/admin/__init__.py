"""Pages of campaigns, their targets, and gateways. Of enrolment secrets a device's page shows the number alone."""

from django.contrib import admin

from renewal.admin.campaign import CampaignAdmin
from renewal.admin.gateway import GatewayAdmin
from renewal.admin.target import TargetAdmin
from renewal.models import Campaign, Gateway, Target

admin.site.register(Campaign, CampaignAdmin)
admin.site.register(Target, TargetAdmin)
admin.site.register(Gateway, GatewayAdmin)
