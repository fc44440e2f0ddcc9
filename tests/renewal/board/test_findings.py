"""What is found of a campaign: every target once, beside a count in Python, in two queries whatever their number."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta

import pytest

from inventory.models import Certificate, Connectivity
from renewal.board.findings import DAY, MOST_STRETCHES, find, stretches
from renewal.board.waits import Phase, WaitKind, place
from renewal.models import Campaign, Target, TargetReason, TargetState
from tests.factories import NOW, device, enrolled_many
from tests.renewal.board.worlds import chance
from tests.renewal.rows import running_campaign

pytestmark = pytest.mark.django_db
AT = NOW + 20 * DAY
_CLASSES = list(Connectivity)


def scattered(number: int, *, seed: int = 1) -> Campaign:
    """Make a campaign with targets in every state, their times at random up to `AT`."""
    random = chance(seed)
    devices = [device(connectivity=random.choice(_CLASSES)) for _number in range(number)]
    for expires_in in (15 * DAY, 40 * DAY):
        enrolled_many(devices[::2] if expires_in < AT - NOW else devices[1::2], expires_in=expires_in)
    campaign = running_campaign()
    any_certificate = Certificate.objects.first()
    for target in campaign.targets.all():
        _scatter(target, random, any_certificate)
    return campaign


def _scatter(target: Target, random, certificate: Certificate | None) -> None:
    def after(moment: datetime) -> datetime:
        return moment + random.random() * (AT - moment)

    state = random.choice(list(TargetState))
    target.state, target.next_step_at = state, None
    asked = after(NOW)
    if state == TargetState.PLANNED:
        target.next_step_at = after(NOW)
    if state in {TargetState.TRIGGERED, TargetState.ACKNOWLEDGED} or (state != "planned" and random.random() < 0.8):
        target.triggered_at, target.attempts_made = asked, 1
    if state == TargetState.ESCALATED or (state == TargetState.FAILED and random.random() < 0.5):
        target.escalated_at, target.reason = after(asked), TargetReason.NO_ANSWER
    if state in {TargetState.ISSUED, TargetState.CONFIRMED} or (state == "escalated" and random.random() < 0.3):
        target.issued_at, target.renewed_certificate = after(target.escalated_at or asked), certificate
    if state == TargetState.CONFIRMED and target.issued_at:
        target.confirmed_at = after(target.issued_at)
    target.save()


def phase_of(target: Target) -> Phase:
    if target.state in {TargetState.CONFIRMED, TargetState.WITHDRAWN}:
        return Phase.THROUGH
    if target.issued_at:
        return Phase.ISSUED
    if target.ends_at <= AT:
        return Phase.ENDED
    if target.state == TargetState.ESCALATED:
        return Phase.GIVEN_UP
    return Phase.ASKED if target.triggered_at else Phase.UNASKED


def waits_of(target: Target) -> list[tuple[WaitKind, str, timedelta, bool]]:
    """Return what a target waited for, for how long, and whether it came."""
    if target.state == TargetState.WITHDRAWN:
        return []
    connectivity = target.device.connectivity
    possible = [
        (WaitKind.ANSWER, connectivity, target.triggered_at, target.issued_at, [target.escalated_at, target.ends_at]),
        (WaitKind.RECOVERY, "", target.escalated_at, target.issued_at, [target.ends_at]),
        (WaitKind.FIRST_USE, "", target.issued_at, target.confirmed_at, []),
    ]
    found = []
    for kind, of, began, came, cuts in possible:
        if began is None:
            continue
        cut = min([AT, *(each for each in cuts if each)])
        until = min(came or cut, cut)
        if until >= began:
            found.append((kind, of, until - began, came is not None and came <= cut))
    return found


def test_every_target_is_found_once_as_python_counts_it():
    campaign = scattered(80)
    findings = find(campaign, AT)
    targets = list(campaign.targets.select_related("device"))
    assert findings.total == len(targets) == 80
    by_state = Counter(TargetState(target.state) for target in targets)
    assert findings.by_state() == {state: by_state[state] for state in TargetState}
    phases: Counter[Phase] = Counter()
    for each in findings.standings:
        phases[each.phase] += each.count
    assert phases == Counter(map(phase_of, targets))
    late = [
        target
        for target in targets
        if target.state != TargetState.WITHDRAWN
        and target.ends_at <= AT
        and (target.issued_at is None or target.issued_at > target.ends_at)
    ]
    assert findings.missed == len(late) > 0
    asked = sum(target.triggered_at is not None and target.triggered_at > AT - DAY for target in targets)
    assert sum(each.asked_lately for each in findings.standings) == asked
    steps = [target.next_step_at for target in targets if target.next_step_at]
    assert min(each.next_step for each in findings.standings if each.next_step) == min(steps)


def test_every_wait_is_found_once_as_python_counts_it():
    campaign = scattered(80)
    counted: dict[tuple, list[tuple[float, bool]]] = defaultdict(list)
    for target in campaign.targets.select_related("device"):
        for kind, connectivity, length, came in waits_of(target):
            counted[kind, connectivity, place(length / DAY)[0]].append((length / DAY, came))
    found = {(each.kind, each.connectivity, each.bin): each for each in find(campaign, AT).waits}
    assert found.keys() == counted.keys()
    for key, waits in counted.items():
        assert found[key].count == len(waits)
        assert found[key].came == sum(came for _days, came in waits)
        assert found[key].days == pytest.approx(sum(days for days, _came in waits), rel=1e-6, abs=1e-6)


def test_it_takes_two_queries_however_many_targets(django_assert_num_queries):
    for number in (4, 40):
        campaign = scattered(number)
        with django_assert_num_queries(2):
            find(campaign, AT)


def test_the_days_are_told_apart_up_to_a_bound():
    campaign = Campaign(expires_from=NOW, expires_before=NOW + 365 * DAY)
    first, stretch = stretches(campaign)
    assert (first.hour, first.minute) == (0, 0)
    assert stretch == 4 * DAY
    assert (campaign.expires_before - first) / stretch <= MOST_STRETCHES
    campaign.expires_before = NOW + 30 * DAY
    assert stretches(campaign)[1] == DAY
