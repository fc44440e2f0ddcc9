"""Pages of campaigns and their targets. Enrolment secrets have none: only their number shows, on a device's page."""

from django.contrib import admin

from renewal.admin.campaign import CampaignAdmin
from renewal.admin.target import TargetAdmin
from renewal.models import Campaign, Target

admin.site.register(Campaign, CampaignAdmin)
admin.site.register(Target, TargetAdmin)
