"""Delegated keys: an authority has them answer in its name, each under a certificate of its own, renewed in time.

Each certificate has a new key. Every process finds the latest one by the rows.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from django.db import transaction

from inventory.audit.record import Actor
from inventory.issuing.certificates import InfrastructureRequest, issue_infrastructure
from inventory.issuing.keys.store import create_key
from inventory.models import Authority, Certificate, DelegatedKey, Purpose
from inventory.x509.keys import KeyType

_Key = TypeVar("_Key", bound=DelegatedKey)


@dataclass(frozen=True)
class Delegation(Generic[_Key]):
    """What keys of one model are for. `title` ends their common names, `prefix` begins their names in the key store.

    A key is renewed once no more than `renewed_before_end` of its `validity` is left.
    """

    model: type[_Key]
    purpose: Purpose
    title: str
    prefix: str
    validity: timedelta
    renewed_before_end: timedelta

    def valid(self, authority_id: int, now: datetime) -> list[_Key]:
        """Return the keys of an authority whose certificates are valid, the latest first. One query."""
        valid = Certificate.objects.valid(now).filter(purpose=self.purpose, authority_id=authority_id)
        keys = self.model._default_manager.filter(authority_id=authority_id, certificate__in=valid)
        return list(keys.select_related("certificate").order_by("-certificate__not_after", "-pk"))

    def renew_if_due(self, authority: Authority, key_type: KeyType, now: datetime, *, actor: Actor) -> _Key | None:
        """Make a new key when `authority` has none, or one that is due. Return it, or None.

        It ends with its authority at the latest; one that already does is not renewed. Raises KeyUnavailable, or
        IssuerTooOld when the authority itself has ended.
        """
        with transaction.atomic():
            # Of two jobs at the same time, the second finds the key that the first has made.
            Authority.objects.select_for_update(no_key=True).get(pk=authority.pk)
            valid = self.valid(authority.pk, now)
            if valid and not self._is_due(valid[0], authority, now):
                return None
            return self._make(authority, key_type, now, actor)

    def _is_due(self, latest: _Key, authority: Authority, now: datetime) -> bool:
        ends = latest.certificate.not_after
        return ends - now <= self.renewed_before_end and ends < authority.x509.not_valid_after_utc

    def _make(self, authority: Authority, key_type: KeyType, now: datetime, actor: Actor) -> _Key:
        # The random part keeps a key that a crash left without a row out of everybody's way.
        key_name = f"{self.prefix}-{authority.slug}-{secrets.token_hex(4)}"
        request = InfrastructureRequest(
            purpose=self.purpose,
            public_key=create_key(key_name, key_type).public_key(),
            common_name=f"{authority.name} {self.title}"[:64],  # RFC 5280 appendix A.1: ub-common-name
            validity=self.validity,
        )
        certificate = issue_infrastructure(request, authority, now=now, actor=actor)
        return self.model._default_manager.create(authority=authority, certificate=certificate, key_name=key_name)
