"""What alerts add to the story of a device."""

from functools import partial

from django.utils.translation import gettext as _

from inventory.devices.timeline import MOST_EVENTS, Moment
from inventory.models import Alert, Device, Resolution, Urgency


def past(device: Device) -> list[Moment]:
    """Return when somebody was warned of its certificates, and who answered. One query."""
    alerts = Alert.objects.filter(certificate__device=device, urgency=Urgency.DEVICE).select_related("certificate")
    moments = []
    for alert in alerts.defer("certificate__der").order_by("-raised_at", "threshold")[:MOST_EVENTS]:
        assert alert.certificate is not None  # a device's alert
        of_it = partial(Moment, certificate_id=alert.certificate_id, serial=alert.certificate.serial)
        words = {"days": alert.threshold, "level": alert.level}
        title = _("alert, %(days)s d before the end, level %(level)s") % words
        moments.append(of_it(alert.raised_at, title, "late" if alert.level > 1 else "attention"))
        if alert.acknowledged_at is not None:
            who, note = alert.acknowledged_by, alert.note
            moments.append(of_it(alert.acknowledged_at, _("alert acknowledged"), who=who, why=note))
        if alert.resolved_at is not None and alert.resolution != Resolution.TIGHTENED:
            moments.append(of_it(alert.resolved_at, _("alert ended"), why=alert.get_resolution_display()))
    return moments
