"""Establishing certificate authorities, and reading the chain above one."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from inventory.audit.record import Actor
from inventory.issuing.certificates import AuthorityRequest, issue_authority
from inventory.issuing.keys.store import create_key
from inventory.models import Authority, Certificate
from inventory.x509.keys import KeyType


@dataclass(frozen=True)
class AuthorityPlan:
    """The parameters of a new authority. `path_length`: how many CAs may follow below it (RFC 5280 4.2.1.9)."""

    slug: str
    name: str
    organization: str
    validity: timedelta
    path_length: int | None
    key_type: KeyType = KeyType.EC_P256
    crl_shards: int = 1


def establish(plan: AuthorityPlan, *, parent: Authority | None, now: datetime, actor: Actor) -> Authority:
    """Make an authority with a new key: a root when `parent` is None, else signed by `parent`.

    The key is on disk before the row is committed: a row never names a key that is not there. Its name has a random
    part, so a key that a crash left without a row is in nobody's way.
    """
    with transaction.atomic():
        key_name = f"authority-{plan.slug}-{secrets.token_hex(4)}"
        authority = Authority.objects.create(
            slug=plan.slug,
            name=plan.name,
            parent=parent,
            key_name=key_name,
            crl_shards=plan.crl_shards,
            created_at=now,
        )
        create_key(key_name, plan.key_type)
        authority.certificate = issue_authority(
            AuthorityRequest(authority, plan.name, plan.organization, plan.validity, plan.path_length),
            now=now,
            actor=actor,
        )
        authority.save(update_fields=["certificate"])
    return authority


def chain(authority: Authority) -> list[Certificate]:
    """Return the certificates from `authority` up to its root, both included: the path a verifier needs.

    Raises ValueError where one of them has no certificate, as external authorities may.
    """
    certificates = []
    for each in _upwards(authority):
        if each.certificate is None:
            raise ValueError(f"Authority {each.slug} is not established: it has no certificate.")
        certificates.append(each.certificate)
    return certificates


def known_chain(authority: Authority) -> list[Certificate]:
    """Return the known part of the chain. For an external authority it may lack the root, or be empty."""
    return [each.certificate for each in _upwards(authority) if each.certificate is not None]


def _upwards(authority: Authority) -> Iterator[Authority]:
    current: Authority | None = authority
    while current is not None:
        yield current
        current = current.parent
