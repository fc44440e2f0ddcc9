"""The lines that each request leaves in the log."""

import pytest

pytestmark = pytest.mark.django_db


def test_the_address_in_the_log_is_the_senders_whatever_a_header_says(client, caplog):
    client.get("/admin/login/", REMOTE_ADDR="198.51.100.7", headers={"X-Forwarded-For": "192.0.2.66"})
    told = {record.msg["event"]: record.msg for record in caplog.records if isinstance(record.msg, dict)}
    for event in ("request_started", "request_finished"):
        assert told[event]["ip"] == "198.51.100.7"
