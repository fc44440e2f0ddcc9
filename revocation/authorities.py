"""Establishes an authority together with its OCSP signer."""

from datetime import datetime

from django.db import transaction

from inventory.audit.record import Actor
from inventory.issuing import authorities
from inventory.issuing.authorities import AuthorityPlan
from inventory.models import Authority
from revocation import signers


def establish(
    plan: AuthorityPlan, *, parent: Authority | None, made_at: datetime, now: datetime, actor: Actor
) -> Authority:
    """Make an authority as of `made_at`, with an OCSP signer as of `now`, both or neither.

    From its first certificate on its status can be asked; without a signer every answer would be tryLater. Raises as
    `inventory.issuing.authorities.establish` does.
    """
    with transaction.atomic():
        authority = authorities.establish(plan, parent=parent, now=made_at, actor=actor)
        signers.renew_if_due(authority, now, actor=actor)
    return authority
