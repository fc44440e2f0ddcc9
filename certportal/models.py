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


class KeptAnswer(models.Model):
    """The answer to a request that carried an Idempotency-Key, for when it is asked again. Kept for a day."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    request_sha256 = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField(default=0)
    body = models.JSONField(default=dict)
    at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="keptanswer_one_a_key")]

    def __str__(self) -> str:
        return f"{self.user}: {self.key}"
