"""The newcomer's page works as it is written: its commands are run, one after the other, in one shell."""

import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.peers import peer
from tests.e2e.running_portal import CHECKOUT

_PAGE = CHECKOUT / "docs" / "first-device.md"
_SECONDS = 180


def test_three_devices_come_in_three_ways_as_the_page_says(portal, tmp_path):
    for program in ("curl", "openssl", "pki"):
        peer(program)
    addresses, *steps = re.findall(r"^```sh\n(.*?)^```$", _PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert "portal=" in addresses and len(steps) == 5
    # Alone the addresses are others than the page's.
    here = f"portal={portal.portal_url} device={portal.device_url} status={portal.status_url}\n"
    here += f"home={portal.home} fleet=demo work={tmp_path}\n"
    script = "set -euo pipefail\n" + here + "\n".join(steps)
    path = f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/bin"
    environment = {**portal.environment, "PATH": f"{path}:{portal.environment.get('PATH', '')}", "NO_PROXY": "*"}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for number in (1, 2, 3):
        assert f"first-{number}.pem: OK" in done.stdout
    held = portal.rows(
        "SELECT d.serial, count(c.id) FROM inventory_device d JOIN inventory_certificate c ON c.device_id = d.id "
        "WHERE d.serial LIKE 'FIRST-_' GROUP BY 1 ORDER BY 1"
    )
    assert held == [("FIRST-1", 1), ("FIRST-2", 1), ("FIRST-3", 1)]
