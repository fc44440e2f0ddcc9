"""One run in a scratch database: reads an order in JSON, prints the result in JSON, tells of its progress on stderr."""

import json
import logging
import sys
from functools import partial

from renewal.simulation.fleet import crew


def main() -> None:
    crew.begin()
    from renewal.simulation.fleet import running
    from renewal.simulation.fleet.scenario import Scenario

    # Planning asks for a count for the dashboard, of a queue that is not there.
    logging.getLogger("django.db.backends.base").setLevel(logging.CRITICAL)
    order = json.load(sys.stdin)
    prefix = f"{order['name']}: " if order["name"] else ""
    scenario = Scenario.from_json(order["scenario"])
    result = running.run(order["devices"], order["seed"], scenario, order["processes"], partial(_say, prefix))
    json.dump(running.as_json(result), sys.stdout)


def _say(prefix: str, line: str) -> None:
    print(f"{prefix}{line}", file=sys.stderr, flush=True)  # noqa: T201 - a process of its own


# The processes of its crew read this module too.
if __name__ == "__main__":
    main()
