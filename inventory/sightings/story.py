"""What unexpected sightings add to the story of a device."""

from django.utils.translation import gettext as _

from inventory.devices.timeline import MOST_EVENTS, Moment
from inventory.models import Device, UnexpectedSighting


def past(device: Device) -> list[Moment]:
    """Return when it was seen again though it should not have been, by whom. The log tells of the first. One query."""
    again = UnexpectedSighting.objects.filter(device=device, count__gt=1).select_related("certificate")
    moments = []
    for sighting in again.defer("certificate__der").order_by("-last_seen_at", "-id")[:MOST_EVENTS]:
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
