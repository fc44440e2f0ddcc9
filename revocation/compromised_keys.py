"""A compromised key affects every certificate with it: the others are reported for revocation."""

from collections.abc import Iterable
from datetime import datetime

from inventory.audit.record import Actor
from inventory.models import Certificate, CertificateState
from inventory.models.sighting import Oddity
from inventory.sightings import OddKey, record_odd_keys


def propose_others(revoked: Iterable[Certificate], *, now: datetime, actor: Actor) -> None:
    """Show operators every certificate that still stands for a key of `revoked`, which were revoked since it leaked.

    They decide: the device may be the one that was robbed, and needs its certificate until it can enrol anew. Until
    then the gate renews nothing by such a key. Call it in the transaction of the revocation. At most three statements.
    """
    keys = {bytes(certificate.spki_sha256) for certificate in revoked}
    others = (
        Certificate.objects.filter(spki_sha256__in=keys, not_after__gte=now)
        .exclude(state=CertificateState.REVOKED)
        .order_by("pk")
        .only("sha256", "device_id")
    )
    record_odd_keys(
        (
            OddKey(Oddity.COMPROMISED_KEY, f"sha256:{bytes(other.sha256).hex()}", other.pk, other.device_id, actor)
            for other in others
        ),
        now,
    )
