"""`manage.py import_inventory`: manifests, bundles and other products' data, of any size."""

import getpass
import json
import os
import sys
import time
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from inventory.audit.record import Actor
from inventory.formats.imports import Encoding, Format, Link, Product, Target
from inventory.importing import runs
from inventory.importing.parsing.records import Layout
from inventory.importing.rejects import path_of
from inventory.importing.sources.detection import Opened, Reading, json_mapping, link_of, open_file
from inventory.importing.sources.files import Source, SourceRefused
from inventory.importing.sources.postgres import Database, is_database_url
from inventory.importing.sources.products import DESCRIPTIONS
from inventory.management.plain_errors import PlainErrorsCommand
from inventory.models import ColumnMapping, Fleet, ImportRun, ImportState
from inventory.models.audit import ActorKind

_SECONDS_BETWEEN_LINES = 2.0
# Of a file, in bytes.
_PARSED_ALONE = 32 << 20


class WrongUse(CommandError):
    def __init__(self, text: str) -> None:
        super().__init__(text, returncode=2)


def _column(text: str) -> tuple[str, Target]:
    column, separator, target = text.rpartition("=")
    if not separator or target not in set(Target):
        known = ", ".join(each.value for each in Target)
        raise ArgumentTypeError(f"{text!r} is not COLUMN=TARGET; targets are {known}.")
    return column, Target(target)


class Command(PlainErrorsCommand):
    help = (
        "Import devices and certificates from a file or from another product's database. "
        "Example: manage.py import_inventory meters.csv --fleet demo --dry-run"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "source", nargs="?", metavar="FILE|URL", help=_("a file, or the URL of a product's database")
        )
        parser.add_argument(
            "--from", dest="product", choices=[each.value for each in Product], help=_("the product that wrote it")
        )
        parser.add_argument("--fleet", metavar="SLUG", help=_("the fleet of rows that name none"))
        parser.add_argument(
            "--format", choices=[each.value for each in Format], help=_("instead of what it looks like")
        )
        parser.add_argument("--encoding", choices=[each.value for each in Encoding], default=None)
        parser.add_argument("--mapping", metavar="NAME", help=_("a saved column mapping"))
        parser.add_argument(
            "--map", dest="columns", action="append", type=_column, default=[], metavar="COLUMN=TARGET",
            help=_("what a column means; may be repeated"),
        )  # fmt: skip
        parser.add_argument("--save-mapping", metavar="NAME", help=_("keep what --map says under this name"))
        parser.add_argument(
            "--link", choices=[each.value for each in Link], help=_("where a certificate names its device")
        )
        parser.add_argument("--dry-run", action="store_true", help=_("say what would happen; change nothing"))
        parser.add_argument(
            "--update", action="store_true", help=_("correct known devices too; an empty column changes nothing")
        )
        parser.add_argument("--resume", type=int, metavar="RUN", help=_("go on with a run that stopped"))
        parser.add_argument(
            "--workers", type=int, metavar="N", help=_("processes that parse; 0: this one does, as for small sources")
        )
        parser.add_argument("--json", action="store_true", help=_("print one JSON object"))

    def handle(self, *_args: Any, **options: Any) -> None:
        self._options = options
        self._told_at = time.monotonic()
        try:
            run, opened = self._resumed() if options["resume"] else self._begun()
            workers = _workers(opened.source) if options["workers"] is None else max(0, options["workers"])
            run = runs.work(run, opened.source, workers=workers, clock=timezone.now, tell=self._tell)
        except (SourceRefused, runs.BusyElsewhere) as refusal:
            raise WrongUse(str(refusal)) from refusal
        except OSError as error:
            raise WrongUse(f"{error.filename}: {error.strerror}") from error
        except runs.Stopped as stopped:
            raise CommandError(
                _("Stopped: %(why)s What was merged stays. Go on with: manage.py import_inventory --resume %(run)d")
                % {"why": _sentence(str(stopped)), "run": run.pk}
            ) from stopped
        self._print(run)

    def _begun(self) -> tuple[ImportRun, Opened]:
        options = self._options
        if not options["source"]:
            raise WrongUse(_("Name a file to import, or a run to resume."))
        reading = self._reading()
        opened = _opened(options["source"], reading)
        fleet = Fleet.objects.filter(slug=options["fleet"]).first() if options["fleet"] else None
        if options["fleet"] and fleet is None:
            raise WrongUse(_("There is no fleet %s.") % options["fleet"])
        if options["save_mapping"]:
            self._save_mapping(reading)
        plan = runs.Plan(
            source=_name(options["source"], opened),
            layout=opened.layout,
            link=opened.link,
            fleet=fleet,
            dry_run=options["dry_run"],
            update_known=options["update"],
        )
        actor = Actor(ActorKind.USER, getpass.getuser())
        return runs.begin(plan, now=timezone.now(), actor=actor), opened

    def _resumed(self) -> tuple[ImportRun, Opened]:
        run = ImportRun.objects.filter(pk=self._options["resume"]).first()
        if run is None:
            raise WrongUse(_("There is no import %d.") % self._options["resume"])
        return run, _opened(self._options["source"] or run.source, runs.reading_of(run))

    def _reading(self) -> Reading:
        options = self._options
        columns, link, encoding = dict(options["columns"]), options["link"], options["encoding"]
        if options["mapping"]:
            saved = ColumnMapping.objects.filter(name=options["mapping"]).first()
            if saved is None:
                raise WrongUse(_("There is no column mapping %s.") % options["mapping"])
            columns = {column: Target(target) for column, target in saved.columns.items()} | columns
            link, encoding = link or saved.link, encoding or saved.encoding
        return Reading(
            columns=columns,
            format=Format(options["format"]) if options["format"] else None,
            encoding=Encoding(encoding or Encoding.UTF_8),
            link=Link(link) if link else None,
            product=Product(options["product"]) if options["product"] else None,
        )

    def _save_mapping(self, reading: Reading) -> None:
        ColumnMapping.objects.update_or_create(
            name=self._options["save_mapping"],
            defaults={
                "columns": {column: target.value for column, target in reading.columns.items()},
                "link": (reading.link or Link.COLUMN).value,
                "encoding": reading.encoding.value,
            },
        )

    def _tell(self, run: ImportRun) -> None:
        if (
            self._options["json"]
            or not sys.stderr.isatty()
            or time.monotonic() - self._told_at < _SECONDS_BETWEEN_LINES
        ):
            return
        self._told_at = time.monotonic()
        share = f" ({100 * run.done // run.total} %)" if run.total else ""
        rate = run.records / max(0.001, run.spent.total_seconds())
        self.stderr.write(f"{run.records:,} records{share}, {rate:,.0f}/s, {run.rejected:,} rejected")

    def _print(self, run: ImportRun) -> None:
        facts = {"run": run.pk, "state": run.state, "dry_run": run.dry_run, **runs.counts(run)}
        facts["rejects_file"] = str(path_of(run.pk)) if run.rejected else ""
        if self._options["json"]:
            self.stdout.write(json.dumps({**facts, "first_rejects": run.first_rejects}))
            return
        self.stdout.write("\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in facts.items()))
        for reject in run.first_rejects:
            self.stdout.write(_("line %(line)s: %(reason)s") % reject)
        if run.state == ImportState.FINISHED and not run.dry_run and not _changed(run):
            self.stdout.write(_("Nothing changed: the inventory held all of it."))


def _workers(source: Source) -> int:
    """Return how many processes pay: starting one takes as long as parsing a few thousand rows."""
    small = source.total is not None and source.total < _PARSED_ALONE
    return 0 if small else os.cpu_count() or 1


def _opened(source: str, reading: Reading) -> Opened:
    if not is_database_url(source):
        return open_file(Path(source), reading)
    if reading.product is None:
        raise WrongUse(_("Say with --from which product's database this is."))
    database = Database(source, DESCRIPTIONS[reading.product].queries)
    layout = Layout(Format.JSON_LINES, mapping=json_mapping(reading), product=reading.product)
    return Opened(database, layout, link_of(reading))


def _name(source: str, opened: Opened) -> str:
    """Return the source as it is kept: a file by its whole path, a database without its password."""
    return opened.source.name if isinstance(opened.source, Database) else str(Path(source).absolute())


def _changed(run: ImportRun) -> bool:
    return any(
        (run.devices_new, run.devices_updated, run.certificates_new, run.certificates_revoked, run.authorities_new)
    )


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
