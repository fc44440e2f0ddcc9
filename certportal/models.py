"""Who may use the portal: people, and programs that hold a token of theirs."""

from collections.abc import Collection
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken

from inventory.models import FleetMembership, fleets_of


class NameIsImmutable(ValueError):
    """An account keeps its name: under another one it would pass for another person."""


class User(AbstractUser):
    """A person. Roles are groups of Django permissions; whose rows they open, fleets say.

    The name never changes, which a trigger holds as well.
    """

    # The others have `inventory.FleetMembership`, one for each fleet.
    all_fleets = models.BooleanField(
        _("all fleets"),
        default=False,
        help_text=_("Sees every fleet, those that come later too, and what belongs to none."),
    )

    owner = models.ForeignKey(
        "self",
        models.PROTECT,
        related_name="service_accounts",
        null=True,
        blank=True,
        verbose_name=_("owner"),
        help_text=_("Of a service account: the person who answers for it, and who is no second person beside it."),
    )

    _stored_name: str | None = None

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [models.CheckConstraint(condition=~models.Q(owner=models.F("pk")), name="user_not_its_own_owner")]

    @property
    def person_id(self) -> int:
        """Key of the person behind the account."""
        return self.owner_id or self.pk

    def clean(self) -> None:
        super().clean()
        if self.owner is None:
            return
        if self.owner.owner_id is not None or self.owner_id == self.pk or self.service_accounts.exists():
            raise ValidationError({"owner": _("A service account belongs to a person, who belongs to nobody.")})

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any) -> "User":
        user = super().from_db(db, field_names, values, **options)
        user._stored_name = user.__dict__.get(cls.USERNAME_FIELD)  # None: not read
        return user

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write the account. Raises NameIsImmutable."""
        name = self.__dict__.get(self.USERNAME_FIELD)
        if None not in (self._stored_name, name) and name != self._stored_name:
            raise NameIsImmutable(f"The name {self._stored_name!r} of an account does not change; make a new account.")
        super().save(*args, **kwargs)
        self._stored_name = name


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
    # Those that belong to the answer itself: where what was made is, and its version.
    headers = models.JSONField(default=dict)
    at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="keptanswer_one_a_key")]

    def __str__(self) -> str:
        return f"{self.user}: {self.key}"


class Brake(models.Model):
    """How full a bucket of attempts was at a moment; it leaks since. What a key stands for only its maker knows."""

    key = models.CharField(max_length=64, primary_key=True)
    level = models.FloatField()
    at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key


class SavedList(models.TextChoices):
    """The lists whose filters can be kept: the models they show."""

    DEVICES = "inventory_device", _("devices")
    CERTIFICATES = "inventory_certificate", _("certificates")
    AUDIT_EVENTS = "inventory_auditevent", _("audit log")
    TARGETS = "renewal_target", _("targets")


class SavedFilterQuerySet(models.QuerySet["SavedFilter"]):
    def seen_by(self, user: User) -> "SavedFilterQuerySet":
        """The filters of a person and those that others share who have no fleet that this person has not.

        What somebody looks for names what is in his or her fleets.
        """
        shared = models.Q(shared=True)
        ids = fleets_of(user)
        if ids is not None:
            elsewhere = FleetMembership.objects.filter(user=models.OuterRef("owner")).exclude(fleet_id__in=ids)
            shared &= models.Q(owner__all_fleets=False, owner__is_superuser=False)
            shared &= models.Q(~models.Exists(elsewhere))
        return self.filter(models.Q(owner=user) | shared)


class SavedFilter(models.Model):
    """A list as somebody narrowed it, under a name."""

    owner = models.ForeignKey(User, models.CASCADE, related_name="saved_filters", verbose_name=_("owner"))
    list = models.CharField(_("list"), max_length=32, choices=SavedList.choices)
    name = models.CharField(_("name"), max_length=100)
    query = models.CharField(_("query"), max_length=2000, blank=True)
    shared = models.BooleanField(_("shared"), default=False, help_text=_("Everybody who may see the list sees it."))
    created_at = models.DateTimeField(_("created"), editable=False)

    objects = SavedFilterQuerySet.as_manager()

    class Meta:
        verbose_name = _("saved filter")
        verbose_name_plural = _("saved filters")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "list", "name"], name="saved_filter_name_unique_for_owner"),
            models.CheckConstraint(condition=models.Q(list__in=SavedList.values), name="saved_filter_list_known"),
        ]
        indexes = [models.Index(fields=["list", "name"], condition=models.Q(shared=True), name="saved_filter_shared")]

    def __str__(self) -> str:
        return self.name


class Queue(models.Model):
    """The queues of jobs, which have no table: who may see them, and who may empty them."""

    class Meta:
        managed = False
        default_permissions = ()
        verbose_name = _("queue of jobs")
        verbose_name_plural = _("queues of jobs")
        permissions = [
            ("view_queues", "Can see queues and jobs"),
            ("change_queues", "Can delete, stop and requeue jobs"),
        ]

    def __str__(self) -> str:
        return str(self._meta.verbose_name)
