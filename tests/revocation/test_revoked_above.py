"""Whoever asks about trust hears of a revocation anywhere above, not only of the direct issuer's."""

from dataclasses import dataclass

import pytest
from cryptography.x509 import ocsp as reference

from inventory.audit.record import SYSTEM
from inventory.issuing.authorities import AuthorityPlan, establish
from inventory.models import Authority, Fleet, RevocationReason
from inventory.models.authority import RevocationAbove, RevokedAbove
from inventory.sightings import Sighting, SightingOutcome, find_usable, record_sightings
from inventory.sightings.identifiers import Fingerprint
from inventory.x509.csr import parse
from renewal import enrolling
from renewal.models import EnrolmentProtocol
from renewal.refusals import Refusal, RefusalCode
from revocation import ocsp, orders, signers
from revocation.bundles import bundle
from revocation.responder import Answer, Responders
from tests import factories
from tests.factories import DAY, NOW, Enrolled, certification_request, device, enrolled
from tests.renewal.rows import secret_of
from tests.revocation.test_responder import asking_for

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Tree:
    root: Authority
    policy: Authority
    issuing: Authority
    meter: Enrolled


@pytest.fixture
def tree(db) -> Tree:
    """A meter under an issuing authority, under a policy authority, under a root."""
    root, policy, issuing = factories.chain_of_authorities("root", "policy", "issuing")
    Fleet.objects.create(slug="demo", name="demo", authority=issuing, profile=factories.profile())
    return Tree(root, policy, issuing, enrolled())


def revoke(authority: Authority, reason: RevocationReason = RevocationReason.CESSATION_OF_OPERATION, now=NOW) -> None:
    assert authority.certificate is not None
    assert isinstance(orders.revoke(authority.certificate, orders.Order(reason, SYSTEM), now), orders.Revoked)


def answers(tree: Tree) -> dict[str, object]:
    """Return what each part of the product says of the meter, a day after the revocation."""
    at, meter = NOW + DAY, tree.meter
    request = parse(meter.renewal_request())
    new = device()
    enrolment = enrolling.enrol(
        new.serial, secret_of(new, now=at), certification_request(), label="demo", protocol=EnrolmentProtocol.EST,
        now=at, source_address=None,
    )  # fmt: skip
    renewal = enrolling.renew(meter.der, request, label="demo", now=at, source_address=None)
    [sighting] = record_sightings([Sighting(at, Fingerprint(meter.sha256))], at, SYSTEM)
    signers.renew_if_due(tree.issuing, at)
    answer = Responders().of("issuing", at).answer(ocsp.parse(asking_for(meter.certificate)), at)
    assert isinstance(answer, Answer)
    [single] = reference.load_der_ocsp_response(answer.encoded()).responses
    return {
        "enrolment": enrolment.code if isinstance(enrolment, Refusal) else None,
        "renewal": renewal.code if isinstance(renewal, Refusal) else None,
        "sighting": sighting.outcome,
        "usable": find_usable(meter.sha256, at) is not None,
        "OCSP": single.certificate_status,
        "bundle": [each.subject_authority.slug for each in bundle("demo", at) or []],
        "revoked": set(Authority.objects.revoked().values_list("slug", flat=True)),
    }


GOOD: dict[str, object] = {
    "enrolment": None,
    "renewal": None,
    # The renewal showed already that the device lives.
    "sighting": SightingOutcome.OLDER,
    "usable": True,
    "OCSP": reference.OCSPCertStatus.GOOD,
    "bundle": ["root", "policy", "issuing"],
    "revoked": set(),
}
DISTRUSTED: dict[str, object] = {
    "enrolment": RefusalCode.ISSUER_REVOKED,
    "renewal": RefusalCode.ISSUER_REVOKED,
    "sighting": SightingOutcome.REVOKED,
    "usable": False,
    "OCSP": reference.OCSPCertStatus.REVOKED,
}


def test_without_a_revocation_everybody_trusts(tree):
    found = answers(tree)
    assert found == GOOD


@pytest.mark.parametrize(
    ("level", "bundled", "revoked"),
    [("issuing", ["root", "policy"], {"issuing"}), ("policy", ["root"], {"policy", "issuing"})],
)
def test_a_revocation_at_any_height_is_heard_by_everybody(tree, level, bundled, revoked):
    revoke(getattr(tree, level))
    assert answers(tree) == DISTRUSTED | {"bundle": bundled, "revoked": revoked}


def test_of_several_revocations_above_the_earliest_counts(tree):
    revoke(tree.issuing, RevocationReason.SUPERSEDED)
    revoke(tree.policy, RevocationReason.KEY_COMPROMISE, now=NOW - DAY)
    annotated = Authority.objects.annotate(above=RevokedAbove("pk")).values_list("slug", "above")
    found = {slug: RevocationAbove.read(above) for slug, above in annotated}
    earliest = RevocationAbove("policy", NOW - DAY, RevocationReason.KEY_COMPROMISE)
    assert found == {"root": None, "policy": earliest, "issuing": earliest}


def test_a_circle_of_foreign_authorities_is_read_to_an_end(tree):
    foreign = [
        Authority.objects.create(slug=slug, name=slug, external_identity=slug.encode(), created_at=NOW)
        for slug in ("left", "right")
    ]
    for one, other in (foreign, foreign[::-1]):
        Authority.objects.filter(pk=one.pk).update(parent=other)
    assert not Authority.objects.external().revoked().exists()


def test_a_fleet_whose_next_authority_stands_below_a_revoked_one_gets_no_certificate(tree):
    plan = AuthorityPlan("next", "Next", "Test", 8000 * DAY, path_length=0)
    following = establish(plan, parent=tree.root, now=NOW - 1000 * DAY, actor=SYSTEM)
    Fleet.objects.filter(slug="demo").update(authority=following)
    renewal = enrolling.renew(
        tree.meter.der, parse(tree.meter.renewal_request()), label="demo", now=NOW, source_address=None
    )
    assert not isinstance(renewal, Refusal)
    revoke(following)
    refused = enrolling.renew(
        tree.meter.der, parse(tree.meter.renewal_request()), label="demo", now=NOW, source_address=None
    )
    assert isinstance(refused, Refusal)
    assert "next" in refused.message
