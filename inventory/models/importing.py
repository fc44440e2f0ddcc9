"""Imports: source, progress and results. The rows are kept after the files are deleted."""

from collections.abc import Sequence
from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from inventory.formats.imports import Encoding, Format, Link, Product
from inventory.models.access import CommonQuerySet, ScopedQuerySet

FORMATS = [
    (Format.CSV.value, "CSV"),
    (Format.JSON_LINES.value, _("JSON lines")),
    (Format.PEM.value, "PEM"),
    (Format.DER.value, "DER"),
    (Format.PKCS7.value, "PKCS #7"),
    (Format.ZIP.value, "ZIP"),
]
PRODUCTS = [
    (Product.LEMUR.value, "Netflix Lemur"),
    (Product.DJANGO_CA.value, "django-ca"),
    (Product.STEP_CA.value, "step-ca"),
    (Product.EJBCA.value, "EJBCA"),
    (Product.AWS_IOT.value, "AWS IoT"),
]
LINKS = [
    (Link.COLUMN.value, _("a column names the device")),
    (Link.COMMON_NAME.value, _("the common name is the device's serial")),
    (Link.SUBJECT_SERIAL.value, _("the serialNumber in the subject is")),
    (Link.SAN_DNS.value, _("the first label of the first DNS name is")),
    (Link.SAN_URI.value, _("what stands after the last colon of the first URI is")),
]
ENCODINGS = [(Encoding.UTF_8.value, "UTF-8"), (Encoding.LATIN_1.value, "Latin-1")]


class ImportState(models.TextChoices):
    WAITING = "waiting", _("waiting for a worker")
    RUNNING = "running", _("running")
    STOPPED = "stopped", _("stopped")
    FINISHED = "finished", _("finished")


class ColumnMappingQuerySet(CommonQuerySet["ColumnMapping"]):
    pass


class ColumnMapping(models.Model):
    """A saved column mapping: what the columns of a kind of file mean."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    columns = models.JSONField(
        _("columns"), help_text=_('Columns, or paths of JSON, and what they mean: {"Serial No": "device_serial"}.')
    )
    link = models.CharField(
        _("finding the device"), max_length=16, choices=LINKS, default=Link.COLUMN.value,
        help_text=_("How a certificate finds its device in a row that names none."),
    )  # fmt: skip
    encoding = models.CharField(_("encoding"), max_length=16, choices=ENCODINGS, default=Encoding.UTF_8.value)

    objects = ColumnMappingQuerySet.as_manager()

    class Meta:
        verbose_name = _("column mapping")
        verbose_name_plural = _("column mappings")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ImportRunQuerySet(ScopedQuerySet["ImportRun"]):
    def _belonging_to(self, ids: Sequence[int]) -> Q:
        """Those that could write to these fleets only: what a run rejected is shown with it, of whatever fleet."""
        return Q(reading__fleets__contained_by=list(ids))


class ImportRun(models.Model):
    """One import. Its counts and `position` are committed with each block, so a block is never merged twice."""

    source = models.CharField(_("source"), max_length=500)
    format = models.CharField(_("format"), max_length=8, choices=FORMATS)
    product = models.CharField(_("product"), max_length=16, choices=PRODUCTS, blank=True)
    fleet = models.ForeignKey(
        "inventory.Fleet", models.PROTECT, related_name="+", null=True, blank=True, verbose_name=_("fleet")
    )
    # How it was read: columns, mapping, encoding, link; `fleets`: the ids of those it may write to, absent: all.
    reading = models.JSONField(_("reading"), default=dict)
    dry_run = models.BooleanField(_("dry run"), default=False)
    update_known = models.BooleanField(_("corrects known devices"), default=False)
    state = models.CharField(_("state"), max_length=16, choices=ImportState.choices, default=ImportState.WAITING)
    actor_kind = models.CharField(_("kind of actor"), max_length=16)
    actor = models.CharField(_("actor"), max_length=150)
    started_at = models.DateTimeField(_("started"))
    worked_at = models.DateTimeField(_("last progress"))
    finished_at = models.DateTimeField(_("finished"), null=True)
    problem = models.TextField(_("why it stopped"), blank=True)
    # How often workers have taken it up since its last block.
    attempts = models.PositiveSmallIntegerField(default=0)

    fingerprint = models.CharField(_("fingerprint of the source"), max_length=200, blank=True)
    # Where the next block begins; null: at the beginning.
    position = models.JSONField(_("position"), null=True)
    done = models.BigIntegerField(_("done"), default=0)
    total = models.BigIntegerField(_("total"), null=True)
    # Keys below these were there before the run.
    first_device_id = models.BigIntegerField(default=0)
    first_certificate_id = models.BigIntegerField(default=0)
    rejects_bytes = models.BigIntegerField(default=0)
    # Indexes and foreign keys that were put off until the rows are in: the statements that make them again.
    put_off = models.JSONField(default=list)

    records = models.BigIntegerField(_("records"), default=0)
    devices_new = models.BigIntegerField(_("new devices"), default=0)
    devices_known = models.BigIntegerField(_("known devices"), default=0)
    devices_updated = models.BigIntegerField(_("known devices corrected"), default=0)
    certificates_new = models.BigIntegerField(_("new certificates"), default=0)
    certificates_known = models.BigIntegerField(_("known certificates"), default=0)
    certificates_repeated = models.BigIntegerField(_("repeated within the source"), default=0)
    certificates_revoked = models.BigIntegerField(_("newly known as revoked"), default=0)
    authorities_new = models.BigIntegerField(_("new external authorities"), default=0)
    rejected = models.BigIntegerField(_("rejected"), default=0)
    first_rejects = models.JSONField(_("first rejects"), default=list)

    objects = ImportRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ImportState.values), name="import_state_known"),
            models.CheckConstraint(
                condition=Q(state=ImportState.FINISHED, finished_at__isnull=False)
                | ~Q(state=ImportState.FINISHED) & Q(finished_at__isnull=True),
                name="import_finished_has_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk}: {self.name}"

    @property
    def name(self) -> str:
        """What people call the source: a file by its name, a database by that of its address."""
        return self.source.rstrip("/").rpartition("/")[2]

    @property
    def share(self) -> float:
        """How much of the source is done, from 0 to 1."""
        if self.state == ImportState.FINISHED:
            return 1.0
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def spent(self) -> timedelta:
        """How long it took until its last block."""
        return self.worked_at - self.started_at
