"""What odd sightings add to the story of a device."""

from django.utils.translation import gettext as _

from inventory.models import Device, OddSighting
from inventory.story import MOST_EVENTS, Moment


def past(device: Device) -> list[Moment]:
    """Return when it was seen though it should not have been, and by whom. One query."""
    sightings = OddSighting.objects.filter(device=device).select_related("certificate").defer("certificate__der")
    moments = []
    for sighting in sightings.order_by("-last_seen_at", "-id")[:MOST_EVENTS]:
        title = _("seen alive: %(oddity)s") % {"oddity": sighting.get_oddity_display()}
        why = _("%(count)s times since %(first)s") % {
            "count": sighting.count,
            "first": f"{sighting.first_seen_at:%Y-%m-%d %H:%M}",
        }
        serial = sighting.certificate.serial if sighting.certificate else ""
        moments.append(
            Moment(sighting.last_seen_at, title, "stopped", sighting.source, why, sighting.certificate_id, serial)
        )
    return moments
