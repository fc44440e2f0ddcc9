"""One run in a scratch database: reads an order in JSON, prints the result in JSON, tells of its progress on stderr."""

import json
import logging
import sys

import django


def main() -> None:
    django.setup()
    from renewal.simulation.fleet import running
    from renewal.simulation.fleet.scenario import Scenario

    # Planning asks for a count for the dashboard, of a queue that is not there.
    logging.getLogger("django.db.backends.base").setLevel(logging.CRITICAL)
    order = json.load(sys.stdin)
    result = running.run(order["devices"], order["seed"], Scenario.from_json(order["scenario"]), _say)
    json.dump(running.as_json(result), sys.stdout)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a process of its own


main()
