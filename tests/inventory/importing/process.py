"""A process that works on a run in small blocks, says a line after each and waits for one: to be killed in the middle.

`python -m tests.inventory.importing.process RUN FILE WORKERS`, with `DATABASE_URL` and `CERTPORTAL_HOME` of the test.
"""

import sys
from pathlib import Path

BLOCK = 16 * 1024


def main() -> None:
    import django

    django.setup()
    from inventory.formats.imports import Format
    from inventory.importing import runs
    from inventory.importing.sources.files import TextFile
    from inventory.models import ImportRun
    from tests.factories import NOW

    run = ImportRun.objects.get(pk=int(sys.argv[1]))
    source = TextFile(Path(sys.argv[2]), Format.CSV, offset=len("device_serial,site\n"), line=2, block=BLOCK)

    def tell(told: ImportRun) -> None:
        sys.stdout.write(f"{told.records}\n")
        sys.stdout.flush()
        sys.stdin.readline()

    runs.work(run, source, workers=int(sys.argv[3]), clock=lambda: NOW, tell=tell)


if __name__ == "__main__":
    main()
