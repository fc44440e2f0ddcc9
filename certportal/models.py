"""Who may use the portal: people, and programs that hold a token of theirs."""

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken


class User(AbstractUser):
    """A person. Roles are groups of Django permissions."""

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")


class ApiToken(AbstractAuthToken):
    """A token of one user for one program. Only its hash is stored; it is shown once, when it is made."""

    name = models.CharField(_("name"), max_length=100)
    scopes = ArrayField(
        models.CharField(max_length=32),
        verbose_name=_("scopes"),
        default=list,
        blank=True,
        help_text=_("API resources the token may read, or 'RESOURCE:write'; empty: all that its user may read."),
    )
    last_used_at = models.DateTimeField(_("last used"), null=True)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="token_name_unique_for_user")]

    def __str__(self) -> str:
        return f"{self.user}: {self.name}"
