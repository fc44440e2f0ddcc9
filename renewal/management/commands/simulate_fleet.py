import json
import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from django.core.management.base import CommandError, CommandParser

from inventory.management.plain_errors import PlainErrorsCommand
from renewal.simulation.fleet import model, report, scenario, scratch, sensitivity
from renewal.simulation.fleet.model import ModelRefused
from renewal.simulation.fleet.scenario import ScenarioError, Sourced
from renewal.simulation.fleet.scratch import Order, RunFailed

_MOST_DEVICES = 10_000_000
# To start processes takes two seconds.
_WORTH_A_CREW = 5_000


class Command(PlainErrorsCommand):
    help = (
        "Take virtual meters through a whole renewal campaign on a virtual clock: planner, ladder, ticks, gate, door, "
        "sightings and the field team's list are the portal's own, in a scratch database that is dropped at the end. "
        "Example: manage.py simulate_fleet --devices 22000 --seed 7 --json"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--devices", type=int, default=22_000, metavar="N")
        parser.add_argument("--seed", type=int, default=1, metavar="S", help="the same seed gives the same result")
        parser.add_argument("--scenario", type=Path, metavar="FILE", help="TOML with the numbers that differ")
        parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the course of the campaign as SVG")
        parser.add_argument(
            "--sensitivity", action="store_true", help="run it again with each number changed that is in doubt"
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        devices, seed = options["devices"], options["seed"]
        if not 1 <= devices <= _MOST_DEVICES:
            raise CommandError(f"A simulation has 1 to {_MOST_DEVICES:,} devices.")
        # As Ctrl-C does: the scratch database is dropped on the way out.
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            sourced = _sourced(options["scenario"])
            proven = model.proven(sourced.scenario, seed)
            variants = sensitivity.variants(sourced) if options["sensitivity"] else []
            with scratch.prepared() as made:
                cores = len(os.sched_getaffinity(0))
                # Small runs go side by side; the processes of a large one share its meters.
                alone = Order(devices, seed, sourced.scenario, 1 if variants or devices < _WORTH_A_CREW else cores)
                orders = [Order(devices, seed, each.scenario, name=each.name) for each in variants]
                result, *results = made.run_each([alone, *orders], cores)
        except (ScenarioError, ModelRefused, RunFailed) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Interrupted. Nothing is left behind.", returncode=130) from None
        if options["picture"]:
            options["picture"].write_text(report.picture(result, sourced.scenario))
        told = report.as_json(result, proven, sourced, list(zip(variants, results, strict=True)))
        self.stdout.write(json.dumps(told, indent=2) if options["json"] else report.as_text(told))


def _sourced(path: Path | None) -> Sourced:
    if path is None:
        return scenario.default()
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path} cannot be read: {error}.") from error
    return scenario.read(text)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
