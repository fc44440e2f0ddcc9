"""`verify_counters`: names what differs, exits 1, and puts it right when told to."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from inventory.counters.folding import fold_all
from inventory.models import CertificateCount
from renewal.models import TargetCount
from tests import factories
from tests.renewal.rows import running_campaign


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("verify_counters", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.fixture
def wrong(db):
    factories.enrolled()
    fold_all()
    CertificateCount.objects.filter(axis="fleet").update(confirmed=7)


def test_true_counters_are_said_to_be(db):
    factories.enrolled()
    assert run() == "Every counter equals what it counts.\n"
    assert json.loads(run("--json")) == []


def test_each_wrong_counter_is_named(wrong):
    with pytest.raises(CommandError, match="Wrong counters: 1") as error:
        run("--json")
    assert error.value.returncode == 1


def test_repair_puts_right_and_the_next_check_agrees(wrong):
    assert "counted 7, there are 1" in run("--repair")
    assert run() == "Every counter equals what it counts.\n"


def test_counts_of_targets_are_compared_and_put_right_too(db):
    factories.enrolled()
    campaign = running_campaign()
    TargetCount.objects.update(number=7)
    assert f"planned targets of campaign {campaign.pk}: counted 7, there are 1" in run("--repair")
    assert run() == "Every counter equals what it counts.\n"
