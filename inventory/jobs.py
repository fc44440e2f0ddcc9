"""Jobs of the inventory, for RQ workers. Losing the queue loses nothing: each finds its work in the rows."""

import structlog
from django.utils import timezone

from inventory.importing import putting_off, running, uploads
from inventory.importing.sources import SourceRefused
from inventory.models import ImportRun

log = structlog.get_logger(__name__)


def work_on_import(run_id: int) -> None:
    """Do an uploaded import, or go on with it; nothing when another worker does."""
    run = ImportRun.objects.get(pk=run_id)
    try:
        run = uploads.work(run, timezone.now)
    except running.BusyElsewhere:
        return
    except (OSError, SourceRefused) as error:
        running.stop(run, str(error), timezone.now())
        log.warning("import_stopped", run=run_id, why=str(error))
        return
    except running.Stopped as stopped:
        log.warning("import_stopped", run=run_id, why=str(stopped))
        return
    log.info("import_finished", run=run_id, records=run.records, rejected=run.rejected)


def sweep_imports() -> None:
    """Enqueue uploaded imports whose job was lost, and make indexes that a killed import has put off."""
    for run_id in uploads.unfinished():
        uploads.enqueue(run_id)
    for run in ImportRun.objects.exclude(put_off=[]):
        if running.nobody_works_on(run):
            putting_off.make_up_for(run)
