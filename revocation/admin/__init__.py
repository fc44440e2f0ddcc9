"""Pages of what was published about revoked certificates, and the page that revokes one."""

from django.contrib import admin

from revocation.admin.crl import CrlAdmin
from revocation.models import Crl

admin.site.register(Crl, CrlAdmin)
