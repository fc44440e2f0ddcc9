from ipaddress import ip_network

import pytest


@pytest.fixture
def loopback(settings) -> None:
    """Gateways of tests are on this machine."""
    settings.WEBHOOK_NETWORKS = [ip_network("127.0.0.0/8")]
