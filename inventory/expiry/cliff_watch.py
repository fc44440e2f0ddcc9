"""Detecting cliffs while certificates are issued. A job compares the counters, so issuing costs nothing more."""

from datetime import datetime

from django.db import transaction

from inventory.expiry.cliffs import cliffs
from inventory.models import CliffNotice


def watch(now: datetime) -> None:
    """Note each cliff with when it was first seen and when it last grew; forget those that are none any more."""
    with transaction.atomic():
        known = {(notice.fleet_id, notice.day): notice for notice in CliffNotice.objects.select_for_update()}
        for cliff in cliffs(now):
            notice = known.pop((cliff.fleet_id, cliff.day), None)
            if notice is None:
                CliffNotice.objects.create(
                    fleet_id=cliff.fleet_id, day=cliff.day, count=cliff.count, noticed_at=now, grew_at=now
                )
            elif notice.count != cliff.count:
                notice.grew_at = now if cliff.count > notice.count else notice.grew_at
                notice.count = cliff.count
                notice.save(update_fields=["count", "grew_at"])
        CliffNotice.objects.filter(pk__in=[notice.pk for notice in known.values()]).delete()
