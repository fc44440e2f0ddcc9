"""The report of a campaign that has ended, as CSV and as PDF."""

import csv
import io
from datetime import timedelta

import pytest

from inventory.audit.record import SYSTEM
from inventory.models import AuditAction, AuditEvent
from renewal.board.report import ReportKind, report_of
from renewal.campaigns import planning
from renewal.channels.recording import RecordingChannel
from renewal.models import Campaign
from tests.factories import DAY, NOW, person
from tests.renewal.campaigns.test_campaigns import renew
from tests.renewal.rows import meters, running_campaign, tick

HOUR = timedelta(hours=1)
pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign() -> Campaign:
    made = meters(3, expires_in=10 * DAY)
    campaign = running_campaign()
    Campaign.objects.update(name="=Spring")
    tick(campaign, NOW, RecordingChannel())
    renew(made[0], NOW + HOUR)
    tick(campaign, NOW + 11 * DAY, RecordingChannel())
    planning.pause(campaign, now=NOW + 11 * DAY, actor=person("mira"))
    planning.stop(campaign, now=NOW + 12 * DAY, actor=person("tom"))
    campaign.refresh_from_db()
    return campaign


def tables(campaign) -> dict[str, list[list[str]]]:
    file = report_of(campaign, ReportKind.CSV, now=NOW + 20 * DAY, actor=SYSTEM)
    found: dict[str, list[list[str]]] = {}
    for title, *cells in csv.reader(io.StringIO(file.content.decode("utf-8-sig"))):
        found.setdefault(title, []).append(cells)
    return {title: rows[1:] for title, rows in found.items()}


def test_it_tells_what_came_and_who_did_what(campaign):
    found = tables(campaign)
    assert {row[0]: row[1] for row in found["Result"]} == {"issued": "1", "failed": "2"}
    assert [row[0] for row in found["Missed or left to people"]] == ["M0001", "M0002"]
    assert ["missed their date", "2"] in found["Failures"]
    assert [(row[1], row[2]) for row in found["Who did what"]] == [
        ("campaign planned", "certportal"),
        ("campaign started", "certportal"),
        ("campaign paused", "mira"),
        ("campaign stopped", "tom"),
    ]
    assert sum(int(row[3]) for row in found["Yield"][:-1]) == 1


def test_it_tells_the_same_whenever_it_is_asked_for(campaign):
    before = tables(campaign)
    file = report_of(campaign, ReportKind.CSV, now=NOW + 300 * DAY, actor=SYSTEM)
    assert tables(campaign) == before
    assert file.name == f"campaign-{campaign.pk}-report.csv"


def test_a_name_is_no_formula_of_a_spreadsheet(campaign):
    assert ["campaign", "'=Spring"] in tables(campaign)["What was chosen"]


def test_who_took_it_is_in_the_audit_log(campaign):
    report_of(campaign, ReportKind.PDF, now=NOW, actor=person("mira"))
    event = AuditEvent.objects.get(action=AuditAction.EXPORT_ENDED)
    assert (event.actor, event.details["campaign"], event.details["format"]) == ("mira", campaign.pk, "pdf")


def test_on_paper_it_is_a_pdf_with_its_title(campaign):
    file = report_of(campaign, ReportKind.PDF, now=NOW, actor=SYSTEM)
    assert file.content.startswith(b"%PDF-")
    assert file.name == f"campaign-{campaign.pk}-report.pdf"


def test_it_takes_as_many_queries_for_thirty_targets_as_for_three(django_assert_num_queries):
    meters(30, expires_in=10 * DAY)
    campaign = running_campaign()
    planning.stop(campaign, now=NOW + 12 * DAY, actor=SYSTEM)
    campaign = Campaign.objects.select_related("fleet").get()
    # Those of the board, the missed, the orders, the log; and the event of who took it.
    with django_assert_num_queries(9 + 3 + 1):
        report_of(campaign, ReportKind.CSV, now=NOW + 20 * DAY, actor=SYSTEM)


def test_a_campaign_that_goes_on_has_no_report():
    meters(1)
    with pytest.raises(ValueError, match="only what has ended"):
        report_of(running_campaign(), ReportKind.CSV, now=NOW, actor=SYSTEM)
