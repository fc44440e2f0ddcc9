"""Refused requests beyond those that the audit log tells one by one."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class RefusalTally(models.Model):
    """Number of refused requests of one network in one window. Deleted once the audit log has it."""

    # A word of the audit log, whose vocabulary is checked there.
    action = models.CharField(_("action"), max_length=64)
    window = models.DateTimeField(_("window"), help_text=_("When it began."))
    # "*" stands for all networks beyond the most that one window has rows for; "" for requests without an address.
    network = models.CharField(_("network"), max_length=49, blank=True)
    count = models.PositiveBigIntegerField(_("requests"))
    first_at = models.DateTimeField(_("first"))
    last_at = models.DateTimeField(_("last"))

    class Meta:
        verbose_name = _("tally of refusals")
        verbose_name_plural = _("tallies of refusals")
        constraints = [
            models.UniqueConstraint(fields=["action", "window", "network"], name="tally_once_a_window_and_network"),
        ]

    def __str__(self) -> str:
        return f"{self.count} from {self.network} since {self.window:%H:%M}"
