"""Published CRLs, newest first."""

from datetime import datetime

from django.contrib import admin
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.admin import cells
from inventory.admin.audited import ReadOnlyAdmin
from revocation.models import Crl

_LISTED = ("authority_name", "scope", "number", "made", "ends", "state", "entry_count", "byte_count")
_SHOWN = (*_LISTED[:4], "holds_from", *_LISTED[4:], "digest")


class CrlAdmin(ReadOnlyAdmin):
    empty_state = gettext_lazy("No CRL yet. Each authority publishes its own once it is established.")
    ordering = ["-published_at", "-id"]
    list_display = _LISTED
    list_select_related = ["authority"]
    list_filter = ["authority"]
    fields = _SHOWN
    readonly_fields = _SHOWN

    @admin.display(description=gettext_lazy("authority"), ordering="authority__name")
    def authority_name(self, crl: Crl) -> SafeString:
        return cells.name(crl.authority)

    @admin.display(description=gettext_lazy("shard"), ordering="shard")
    def scope(self, crl: Crl) -> str:
        return _("all") if crl.shard is None else str(crl.shard)

    @admin.display(description=gettext_lazy("published"), ordering="published_at")
    def made(self, crl: Crl) -> SafeString:
        return cells.when(crl.published_at, timezone.now(), to_the_minute=True)

    @admin.display(description=gettext_lazy("thisUpdate"), ordering="this_update")
    def holds_from(self, crl: Crl) -> SafeString:
        return cells.when(crl.this_update, timezone.now(), to_the_minute=True)

    @admin.display(description=gettext_lazy("nextUpdate"), ordering="next_update")
    def ends(self, crl: Crl) -> SafeString:
        return cells.when(crl.next_update, timezone.now(), to_the_minute=True)

    @admin.display(description=gettext_lazy("state"))
    def state(self, crl: Crl) -> SafeString:
        return _state(crl, timezone.now())

    @admin.display(description=gettext_lazy("revoked certificates"), ordering="entries")
    def entry_count(self, crl: Crl) -> str:
        return cells.count(crl.entries)

    @admin.display(description=gettext_lazy("size, bytes"), ordering="size")
    def byte_count(self, crl: Crl) -> str:
        return cells.count(crl.size)

    @admin.display(description="SHA-256")
    def digest(self, crl: Crl) -> SafeString:
        return cells.code(bytes(crl.sha256).hex())


def _state(crl: Crl, now: datetime) -> SafeString:
    return cells.state("good", _("current")) if crl.next_update > now else cells.state("neutral", _("ended"))
