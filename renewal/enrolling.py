"""Enrolling and renewing: gate, door and bookkeeping of requests in one transaction, whatever the protocol.

One request or ten thousand go the same way. Those that do not touch each other are decided on together; of several for
one device or one key, each is decided on when the one before it was carried out, as if they had come one by one.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from django.db import transaction

from inventory import pg_arrays, prepared, sightings
from inventory.audit.record import Actor
from inventory.issuing.certificates import Admission, CannotIssue, ProfileUnusable, issue_each
from inventory.issuing.lifetimes import IssuerTooOld
from inventory.models import AuditAction, Certificate, Device
from inventory.models.audit import ActorKind
from inventory.models.sighting import Oddity
from inventory.sightings import CertificateUse, OddKey, record_odd_keys
from inventory.x509.csr import CertificationRequest
from renewal import brakes, facts
from renewal.brakes import Refused
from renewal.facts import Facts, Sender
from renewal.gate import (
    AlreadyIssued,
    Decision,
    admit_enrolment,
    admit_renewal,
    admit_vouched,
    unknown_device,
    wrong_secret,
)
from renewal.models import EnrolmentProtocol, EnrolmentSecret
from renewal.refusals import Refusal, RefusalCode
from renewal.requests import Enrolment, Renewal, Request, Vouched

log = structlog.get_logger(__name__)

EnrolmentResult = Certificate | Refusal
_ODDITIES = {
    RefusalCode.KEY_OF_ANOTHER_DEVICE: Oddity.SHARED_KEY,
    RefusalCode.KEY_COMPROMISED: Oddity.COMPROMISED_KEY,
}

_LONGEST_LOCK = "SELECT set_config('lock_timeout', %s::text, true)"
_SPEND = """
    UPDATE renewal_enrolmentsecret s SET spent_at = %s, certificate_id = spent.certificate_id
    FROM unnest(%s::bigint[], %s::bigint[]) AS spent (id, certificate_id) WHERE s.id = spent.id"""


def renew(
    client_certificate: bytes,
    request: CertificationRequest,
    *,
    label: str | None,
    repeats_names: bool = True,
    now: datetime,
    source_address: str | None,
) -> EnrolmentResult:
    """Renew the certificate (DER) by which a device authenticated. Return the new certificate, or why not.

    See `Renewal` for the arguments. Four queries when issued: lock, read, place of the certificate, and one that
    writes the certificate, its audit event and the sighting of the device. On a busy plane, the place is known before.
    """
    [outcome] = admit_many([Renewal(client_certificate, request, label, repeats_names, source_address)], now)
    return outcome


def enrol(
    serial: str,
    secret: str,
    request: CertificationRequest,
    *,
    label: str,
    protocol: EnrolmentProtocol,
    now: datetime,
    source_address: str | None,
) -> EnrolmentResult:
    """Give a device its certificate for a one-time secret, which is spent exactly by that. Or say why not."""
    [outcome] = admit_many([Enrolment(serial, secret, request, label, protocol, source_address)], now)
    return outcome


def admit_many(
    requests: Sequence[Request], now: datetime, *, longest_lock: timedelta | None = None
) -> list[EnrolmentResult]:
    """Decide on requests, issue what is admitted, and write down what is refused. Return the outcome of each.

    The outcomes are those of the same requests one after the other. What is right is served whatever else is in the
    batch, and before any brake: whatever strangers did to its device or behind the same address. All is one
    transaction. The number of queries grows with the most requests for one device or one key, not with the requests.
    Raises OperationalError when a row is not to be had for as long as `longest_lock`.
    """
    if not requests:
        return []
    with transaction.atomic():
        if longest_lock is not None:
            prepared.execute(_LONGEST_LOCK, [f"{longest_lock.total_seconds()}s"])
        batch = _Batch(requests, facts.find(requests, now), now)
        batch.carry_out()
        return batch.answers()


class _Batch:
    """Requests, and what became of each so far, by their numbers."""

    def __init__(self, requests: Sequence[Request], senders: Mapping[int, Sender], now: datetime) -> None:
        self._requests = requests
        self._senders = senders
        self._now = now
        self._known = {number: sender for number, sender in senders.items() if sender.known}
        self._facts: dict[int, Facts] = {}
        self._secrets: dict[int, EnrolmentSecret] = {}
        self._outcomes: dict[int, EnrolmentResult] = {}

    def carry_out(self) -> None:
        """Decide on all whose sender is known, and issue what is admitted."""
        # All at once, because locks have an order; what is read of the later rounds is read again.
        self._facts = facts.read(self._known, self._requests, self._now)
        self._secrets = facts.secrets(self._known.values())
        for number, of_round in enumerate(self._rounds()):
            if number:
                again = {each: self._known[each] for each in of_round}
                self._facts |= facts.read(again, self._requests, self._now)
            self._carry_out({each: self._decide(each) for each in of_round})

    def _rounds(self) -> Iterator[list[int]]:
        """Yield requests in rounds: in one of them no two are of one device or for one key."""
        rounds: list[list[int]] = []
        latest: dict[tuple[str, object], int] = {}
        for number, sender in sorted(self._known.items()):
            touched = [("device", sender.device_id), ("key", self._requests[number].request.spki_sha256)]
            turn = max(latest.get(each, -1) for each in touched) + 1
            latest |= dict.fromkeys(touched, turn)
            if turn == len(rounds):
                rounds.append([])
            rounds[turn].append(number)
        yield from rounds

    def _decide(self, number: int) -> Decision:
        asked, known, now = self._requests[number], self._facts[number], self._now
        actor = self._actor(number)
        if isinstance(asked, Renewal):
            return admit_renewal(
                known, asked.request, label=asked.label, repeats_names=asked.repeats_names, now=now, actor=actor
            )
        if isinstance(asked, Vouched):
            return admit_vouched(known, asked.request, now=now, actor=actor)
        secret = self._secret(number)
        return admit_enrolment(secret, known, asked.request, now=now, actor=actor) if secret else wrong_secret()

    def _carry_out(self, decisions: Mapping[int, Decision]) -> None:
        """Issue what was admitted. What keeps the portal from it is a refusal too: the device may ask again later."""
        served = {number: self._facts[number] for number, each in decisions.items() if not isinstance(each, Refusal)}
        uses = [
            CertificateUse(known.certificate, known.device, self._actor(number))
            for number, known in served.items()
            # Who speaks for a device has not seen its certificate at work.
            if known.certificate and isinstance(self._requests[number], Renewal)
        ]
        sightings.confirm_first_uses(uses, self._now)
        admitted = {number: each for number, each in decisions.items() if isinstance(each, Admission)}
        issued = issue_each(list(admitted.values()), self._now, sightings.seen(uses, self._now) if uses else None)
        for (number, admission), outcome in zip(admitted.items(), issued, strict=True):
            self._outcomes[number] = outcome if isinstance(outcome, Certificate) else _not_issued(admission, outcome)
        before = {number: each.certificate_id for number, each in decisions.items() if isinstance(each, AlreadyIssued)}
        known_answers = Certificate.objects.select_related("authority").in_bulk(before.values()) if before else {}
        self._outcomes |= {number: known_answers[pk] for number, pk in before.items()}
        self._outcomes |= {number: each for number, each in decisions.items() if isinstance(each, Refusal)}
        self._spend(admitted)

    def _spend(self, admitted: Mapping[int, Admission]) -> None:
        """Spend the secrets for which certificates were issued."""
        spent: dict[int, int] = {}
        for number in admitted:
            secret, outcome = self._secret(number), self._outcomes[number]
            if secret and isinstance(outcome, Certificate):
                # What the next request by the same secret is decided on.
                secret.spent_at, secret.certificate = self._now, outcome
                spent[secret.pk] = outcome.pk
        if spent:
            columns = pg_arrays.integers(spent), pg_arrays.integers(spent.values())
            prepared.execute(_SPEND, [self._now, *columns])

    def _secret(self, number: int) -> EnrolmentSecret | None:
        secret_id = self._known[number].secret_id
        return self._secrets.get(secret_id) if secret_id is not None else None

    def answers(self) -> list[EnrolmentResult]:
        """Write down the refusals, in the order of the requests, and return the answer to each request."""
        named = {sender.device_id for number, sender in self._senders.items() if number not in self._known}
        devices = Device.objects.in_bulk(named) if named else {}
        answers: list[EnrolmentResult] = []
        refused: dict[int, Refused] = {}
        for number, asked in enumerate(self._requests):
            answers.append(outcome := self._outcomes.get(number) or self._stranger(asked))
            if isinstance(outcome, Refusal) and outcome.code != RefusalCode.UNKNOWN_CERTIFICATE:
                refused[number] = self._refused(number, outcome, devices)
        for number, answer in zip(refused, brakes.note(list(refused.values()), self._now), strict=True):
            answers[number] = answer
        record_odd_keys(self._odd_keys(refused), self._now)
        return answers

    def _stranger(self, asked: Request) -> Refusal:
        """Return the answer to who shows a certificate that is not ours, or a secret that is none."""
        match asked:
            case Enrolment():
                return wrong_secret()
            case Vouched():
                return unknown_device(asked.serial, asked.label)
        log.warning(
            "renewal refused",
            reason=RefusalCode.UNKNOWN_CERTIFICATE,
            sha256=asked.sha256.hex(),
            request_id=asked.request_id,
        )
        return Refusal(RefusalCode.UNKNOWN_CERTIFICATE, "The client certificate is not one of this portal's devices.")

    def _refused(self, number: int, refusal: Refusal, named: Mapping[int, Device]) -> Refused:
        known, actor, asked = self._facts.get(number), self._actor(number), self._requests[number]
        action = AuditAction.RENEWAL_REFUSED if isinstance(asked, Renewal) else AuditAction.ENROLMENT_REFUSED
        log.info(
            "request refused",
            action=action,
            reason=refusal.code,
            actor=actor.name,
            address=actor.source_address,
            request_id=actor.request_id,
        )
        if known:
            return Refused(refusal, action, actor, known.device, known.certificate)
        sender = self._senders.get(number)
        return Refused(refusal, action, actor, named[sender.device_id] if sender else None)

    def _odd_keys(self, refused: Mapping[int, Refused]) -> Iterator[OddKey]:
        for number, each in refused.items():
            if each.device and (oddity := _ODDITIES.get(each.refusal.code)):
                # Both devices have to be looked at: the one that asked, and the one whose certificate has the key.
                holder = each.refusal.details.get("held_by", each.certificate.pk if each.certificate else None)
                name = f"key:{self._requests[number].request.spki_sha256.hex()} {each.device.serial}"
                yield OddKey(oddity, name, holder, each.device.pk, each.actor)

    def _actor(self, number: int) -> Actor:
        asked, known = self._requests[number], self._facts.get(number)
        if isinstance(asked, Vouched):
            return asked.account
        if isinstance(asked, Renewal):
            kind, name = ActorKind.DEVICE, self._facts[number].device.serial
        else:
            kind = ActorKind.DEVICE if number in self._known else ActorKind.UNKNOWN
            name = known.device.serial if known else asked.claimed_name
        return Actor(kind, name, asked.source_address, request_id=asked.request_id)


def _not_issued(admission: Admission, why: CannotIssue) -> Refusal:
    match why:
        case IssuerTooOld():
            refusal = Refusal(RefusalCode.ISSUER_TOO_OLD, str(why))
        case ProfileUnusable():
            refusal = Refusal(RefusalCode.PROFILE_UNUSABLE, f"{why} An operator must change it.")
        case _:
            # Where our keys are is for our log alone.
            text = f"The authority {admission.authority.slug} cannot sign at the moment; try again later."
            refusal = Refusal(RefusalCode.ISSUER_UNAVAILABLE, text)
    log.error("certificate not issued", reason=refusal.code, why=str(why), device=admission.device.serial)
    return refusal
