"""Jobs of the renewal package, for RQ workers. Losing the queue loses nothing: each finds its work in the rows."""

from dataclasses import asdict
from functools import partial

import structlog
from django.conf import settings
from django.utils import timezone

from inventory.alerts.conditions import report
from inventory.issuing.keys.software import KeyUnavailable
from inventory.job_claims import Claim
from inventory.models import AlertKind, Authority
from renewal import brakes, coverage_counts, registration_authorities, target_counts
from renewal.board import course, snapshot
from renewal.campaigns.ticking import tick
from renewal.channels import receipts, routes, trouble
from renewal.field import closing, healing, opening
from renewal.field.tickets import configured, delivering
from renewal.models import Campaign, CampaignState
from renewal.simulation import rehearsing

log = structlog.get_logger(__name__)


_OPEN = (CampaignState.RUNNING, CampaignState.PAUSED)
_QUEUE = "default"
_FAILURES_KEPT_SECONDS = 3600
_SECONDS_FOR_A_TICKET = 10.0
_MOST_TICKETS = 200
# Of wrong counts, this many are named in the log; `verify_counters` names them all.
_NAMED = 20


def _claim(campaign: int) -> Claim:
    return Claim(_QUEUE, f"tick campaign {campaign}")


def check_target_counts() -> None:
    """Verify the counts of targets; log mismatches as errors and repair them."""
    wrong = target_counts.differences()
    if wrong:
        log.error("counts of targets were wrong", number=len(wrong), differences=[str(each) for each in wrong[:_NAMED]])
        target_counts.repair()


def renew_registration_authorities() -> None:
    """Renew the SCEP registration authorities of fleets that are missing or near their end."""
    now = timezone.now()
    able = Authority.objects.own().filter(fleets__isnull=False, certificate__not_after__gt=now)
    for authority in able.exclude(pk__in=Authority.objects.revoked()).select_related("certificate").distinct():
        try:
            made = registration_authorities.renew_if_due(authority, now)
        except KeyUnavailable as error:
            # The others still get theirs; the doctor reports this one.
            log.error("registration_authority_not_renewed", authority=authority.slug, why=str(error))
            continue
        if made:
            ends = made.certificate.not_after.isoformat()
            log.info("registration_authority_renewed", authority=authority.slug, ends=ends)


def tick_campaigns() -> None:
    """Enqueue a tick of every campaign that runs or is paused (devices go on while it is).

    Each has a job of its own, so one that fails or takes long does not hold up the others.
    """
    target_counts.fold()
    for campaign in Campaign.objects.filter(state__in=_OPEN).values_list("pk", flat=True).order_by("pk"):
        _claim(campaign).enqueue("renewal.jobs.tick_campaign", campaign, failure_ttl=_FAILURES_KEPT_SECONDS)


def tick_campaign(pk: int) -> None:
    """Tick one campaign, unless it ended meanwhile."""
    _claim(pk).begin()
    campaign = Campaign.objects.filter(pk=pk, state__in=_OPEN).select_related("fleet").first()
    if campaign is None:
        return
    ticked = tick(campaign, timezone.now(), partial(routes.route, fleet_id=campaign.fleet_id, clock=timezone.now))
    if ticked is None:
        # The tick before takes long, as with a broker that is slow to answer; the next one comes in seconds.
        return
    log.info(
        "campaign ticked",
        campaign=pk,
        progress=asdict(ticked.progress),
        messages={fate.name.lower(): number for fate, number in ticked.fates.items()},
        left_to_people=ticked.left_to_people,
        finished=ticked.finished,
        opened_wave=ticked.looked.opened,
        breaches=[asdict(breach) for breach in ticked.looked.breaches],
    )


def read_board(pk: int) -> None:
    """Read the board of a large campaign, for those who look at it."""
    snapshot.begin(pk)
    campaign = Campaign.objects.filter(pk=pk).first()
    if campaign is not None:
        now = timezone.now()
        board = snapshot.read(campaign, now)
        snapshot.keep(campaign, board, timezone.now() - now)


def keep_forecasts() -> None:
    """Score the forecasts whose time has come, and freeze those of today, once a day for each open campaign."""
    now = timezone.now()
    scored = course.score(now)
    frozen = sum(course.freeze(campaign, now) for campaign in Campaign.objects.filter(state__in=_OPEN).order_by("pk"))
    if scored or frozen:
        log.info("forecasts kept", scored=scored, frozen=frozen)


def report_channel_trouble() -> None:
    """Raise an alert for each channel that takes no messages, and settle those of the others."""
    now = timezone.now()
    report([AlertKind.CHANNEL], trouble.concerns(now), now)


def match_early_receipts() -> None:
    """Write down the receipts of messages that were written down after them."""
    noted = receipts.match_early(timezone.now())
    if noted.written:
        log.info("early receipts matched", **asdict(noted))


def count_coverage() -> None:
    """Count how much of what ends is renewed or in a campaign, for the dashboard."""
    coverage_counts.begin_count()
    now = timezone.now()
    if coverage_counts.count_anew(now):
        coverage_counts.note_count(now, timezone.now() - now)


def tell_refusals() -> None:
    """Put what was counted of refused requests into the audit log."""
    told = brakes.tell(timezone.now())
    if told:
        log.info("refusals told", networks=told)


def keep_work_orders() -> None:
    """Close the orders of devices that have renewed, and open those that are due."""
    now = timezone.now()
    closed = closing.close_renewed(now)
    opened = opening.open_due(now, settings.FIELD_LEAD, settings.VISIT_SPAN)
    if opened or closed != closing.Closed():
        log.info("work orders kept", opened=opened, **asdict(closed))


def count_healing() -> None:
    """Count how many silent devices came back by themselves, for the work orders that wait."""
    healing.count_anew(timezone.now())


def keep_tickets() -> None:
    """Make and close the tickets of work orders, where the settings name a system for them."""
    connection = configured.connection()
    if connection is None or not delivering.note_due(timezone.now()):
        return
    for _number in range(_MOST_TICKETS):
        if not delivering.deliver_next(connection, timezone.now(), _SECONDS_FOR_A_TICKET):
            break


def rehearse() -> None:
    """Do the oldest rehearsal that has not ended, unless another process does one."""
    run = rehearsing.work(timezone.now)
    if run is not None:
        log.info("rehearsal ended", rehearsal=run.pk, state=run.state, problem=run.problem)


def sweep_rehearsals() -> None:
    """Enqueue a job for a rehearsal whose own was lost."""
    rehearsing.enqueue_lost()
