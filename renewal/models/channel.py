"""Channels to devices, and those in trouble."""

from datetime import datetime, timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _

# Nobody has tried for so long after the next try was due: what was known of the channel is no longer known.
_FORGOTTEN_AFTER = timedelta(minutes=15)


class Channel(models.TextChoices):
    MQTT = "mqtt", _("MQTT")
    SMS = "sms", _("SMS")
    WEBHOOK = "webhook", _("webhook")


class ChannelTroubleQuerySet(models.QuerySet["ChannelTrouble"]):
    def current(self, now: datetime) -> "ChannelTroubleQuerySet":
        """Channels still in trouble, judging by recent attempts."""
        return self.filter(next_try_at__gt=now - _FORGOTTEN_AFTER)


class ChannelTrouble(models.Model):
    """What accepts no messages: the broker, or a gateway. Deleted when it accepts one."""

    # "mqtt" for the broker, which is one for all fleets; "gateway-" and its key for a gateway.
    channel = models.CharField(_("channel"), max_length=32, primary_key=True)
    # As people know it; empty for the broker.
    name = models.CharField(_("name"), max_length=100, blank=True, default="", db_default="")
    since = models.DateTimeField(_("since"))
    tries = models.PositiveIntegerField(_("tries in vain"))
    next_try_at = models.DateTimeField(_("next try"))
    problem = models.CharField(_("problem"), max_length=200)

    objects = ChannelTroubleQuerySet.as_manager()

    class Meta:
        verbose_name = _("channel in trouble")
        verbose_name_plural = _("channels in trouble")
        default_permissions = ()

    def __str__(self) -> str:
        return self.name or str(dict(Channel.choices).get(self.channel, self.channel))
