"""Certificates over the API: a service account asks in the name of devices that it knows by a channel of its own."""

import ssl
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from inventory.api.rest.actors import actor_of
from inventory.api.rest.bulk_rows import one_or_many
from inventory.api.rest.parameters import IDEMPOTENCY_KEY
from inventory.audit.record import Actor
from inventory.issuing.authorities import chain
from inventory.models import Authority, Certificate, Fleet, fleets_of
from inventory.x509 import csr
from renewal import enrolling
from renewal.models import EnrolmentSecret
from renewal.refusals import Refusal, RefusalCode
from renewal.requests import Vouched

MOST_AT_ONCE = 10_000
# A request for an RSA 4096 key has 1.7 kB in PEM.
_MOST_BYTES = 2048 * MOST_AT_ONCE
# Each transaction holds the locks of so many devices, and others go on between two of them.
_IN_A_TRANSACTION = 200
_FIELDS = ("fleet", "device", "csr")
_STATUS = {
    RefusalCode.UNKNOWN_DEVICE: status.HTTP_404_NOT_FOUND,
    RefusalCode.ISSUER_TOO_OLD: status.HTTP_503_SERVICE_UNAVAILABLE,
    RefusalCode.ISSUER_UNAVAILABLE: status.HTTP_503_SERVICE_UNAVAILABLE,
    RefusalCode.PROFILE_UNUSABLE: status.HTTP_503_SERVICE_UNAVAILABLE,
}
_RETRY_SECONDS = 60


class EnrolmentOutcome(models.TextChoices):
    """What became of a request. Known: the device has a certificate for this key, which is the answer."""

    ISSUED = "issued", _("issued")
    KNOWN = "known", _("issued before")
    REFUSED = "refused", _("refused")


class EnrolmentSerializer(serializers.Serializer[Any]):
    """One request. For the description alone: thousands are read at a time."""

    fleet = serializers.CharField(max_length=50, help_text="Label of the device's fleet")
    device = serializers.CharField(max_length=64, help_text="Serial number of the device, which the account speaks for")
    csr = serializers.CharField(help_text="Its certification request (PKCS #10) in PEM, or the base64 of its DER")


class IssuedSerializer(serializers.Serializer[Any]):
    """A certificate, and those above it."""

    outcome = serializers.ChoiceField(EnrolmentOutcome.choices)
    id = serializers.IntegerField(help_text="Of the certificate in the portal")
    serial = serializers.CharField(help_text="Serial number of the certificate in hexadecimal")
    not_after = serializers.DateTimeField(help_text="When it ends")
    issuer = serializers.CharField(help_text="Slug of the authority that signed it")
    pem = serializers.CharField(help_text="The certificate in PEM")
    chain = serializers.CharField(help_text="The authorities above it up to the root, in PEM")


class EnrolmentResultSerializer(serializers.Serializer[Any]):
    """What became of one of many. For the description alone."""

    outcome = serializers.ChoiceField(EnrolmentOutcome.choices)
    id = serializers.IntegerField(required=False)
    serial = serializers.CharField(required=False)
    not_after = serializers.DateTimeField(required=False)
    issuer = serializers.CharField(required=False)
    pem = serializers.CharField(required=False)
    code = serializers.CharField(required=False, help_text="Why it was refused, for programs")
    reason = serializers.CharField(required=False, help_text="Why it was refused, for people")


class EnrolmentResultsSerializer(serializers.Serializer[Any]):
    """What became of each. For the description alone."""

    counts = serializers.DictField(child=serializers.IntegerField(), help_text="How many had each outcome")
    chains = serializers.DictField(
        child=serializers.CharField(), help_text="The authorities up to the root in PEM, by the slugs of the issuers"
    )
    results = EnrolmentResultSerializer(many=True, help_text="In the order of the request")


class EnrolmentViewSet(GenericViewSet[EnrolmentSecret]):
    """Enrolments: certificates for devices that a service account speaks for.

    To ask again for the same key gives the same certificate, so a list that was cut off is sent again as it was.
    """

    resource = "enrolments"
    # Who may make a device's secret may have its certificate.
    queryset = EnrolmentSecret.objects.none()
    serializer_class = EnrolmentSerializer
    own_parameters = ()
    most_bytes = _MOST_BYTES
    # What is asked for again is answered from the rows: ten thousand certificates are not kept a second time.
    answers_anew = True

    @extend_schema(
        request=one_or_many("Enrolments", EnrolmentSerializer),
        responses={200: EnrolmentResultsSerializer, 201: IssuedSerializer},
        filters=False,
        parameters=[IDEMPOTENCY_KEY],
    )
    def create(self, request: Request) -> Response:
        """Ask for a certificate, or for up to 10,000 in a list: each has its result, and none keeps another back."""
        account, labels = actor_of(request), _labels(request)
        if not isinstance(request.data, list):
            asked = _read(request.data, account, labels)
            if isinstance(asked, _Malformed):
                raise ValidationError({asked.field: [asked.reason]})
            now = timezone.now()
            [outcome] = enrolling.admit_many([asked], now)
            return _one(outcome, now)
        if not 1 <= len(request.data) <= MOST_AT_ONCE:
            text = f"A list holds 1 to {MOST_AT_ONCE} requests; this one has {len(request.data)}."
            raise ValidationError({"non_field_errors": [text]})
        return Response(_many(request.data, account, labels))


def _labels(request: Request) -> frozenset[str]:
    """Return the labels of the fleets whose devices the account may speak for."""
    return frozenset(Fleet.objects.of_fleets(fleets_of(request.user)).order_by().values_list("slug", flat=True))


@dataclass(frozen=True)
class _Malformed:
    """A row that is no request: the field at fault, and what it needs."""

    field: str
    reason: str


def _read(row: object, account: Actor, labels: frozenset[str]) -> Vouched | _Malformed:
    if not isinstance(row, dict):
        return _Malformed("non_field_errors", f"Send an object with {', '.join(_FIELDS)}.")
    for name in row:
        if name not in _FIELDS:
            return _Malformed(str(name), f"There is no such field. Fields are {', '.join(_FIELDS)}.")
    for name in _FIELDS:
        if not isinstance(row.get(name), str) or not row[name] or "\0" in row[name]:
            return _Malformed(name, "A text is needed, without NUL characters.")
    try:
        request = csr.parse(csr.from_text(row["csr"]))
    except csr.MalformedRequest as error:
        return _Malformed("csr", str(error))
    return Vouched(row["device"], request, row["fleet"], account, in_reach=row["fleet"] in labels)


def _one(outcome: Certificate | Refusal, now: datetime) -> Response:
    if isinstance(outcome, Certificate):
        is_new = outcome.issued_at == now
        shown = {**_issued(outcome, is_new=is_new), "chain": _chain(outcome.authority)}
        return Response(shown, status.HTTP_201_CREATED if is_new else status.HTTP_200_OK)
    code = _STATUS.get(outcome.code, status.HTTP_403_FORBIDDEN)
    headers = {"Retry-After": str(_RETRY_SECONDS)} if code == status.HTTP_503_SERVICE_UNAVAILABLE else {}
    # Not raised: that would undo the transaction in which the refusal was written down.
    error = {"code": outcome.code.value, "message": outcome.message, "details": outcome.details}
    return Response({"error": error}, code, headers=headers)


def _many(rows: Sequence[object], account: Actor, labels: frozenset[str]) -> dict[str, Any]:
    shown: list[dict[str, Any]] = []
    issuers: dict[str, Authority] = {}
    for start in range(0, len(rows), _IN_A_TRANSACTION):
        # Read by parts too: to prove ten thousand requests takes seconds, in which nobody else would be served.
        asked = [_read(row, account, labels) for row in rows[start : start + _IN_A_TRANSACTION]]
        now = timezone.now()
        outcomes = iter(enrolling.admit_many([each for each in asked if isinstance(each, Vouched)], now))
        told: set[int] = set()
        for each in asked:
            outcome = each if isinstance(each, _Malformed) else next(outcomes)
            shown.append(_result(outcome, now, told))
            if isinstance(outcome, Certificate):
                issuers.setdefault(outcome.authority.slug, outcome.authority)
                told.add(outcome.pk)
    counts = Counter(each["outcome"] for each in shown)
    return {
        "counts": {outcome: counts[outcome] for outcome in EnrolmentOutcome.values},
        "chains": {slug: _chain(authority) for slug, authority in issuers.items()},
        "results": shown,
    }


def _result(outcome: Certificate | Refusal | _Malformed, now: datetime, told: Container[int]) -> dict[str, Any]:
    """Show what became of a row. `told` are the certificates of rows before it, which may have asked the same."""
    match outcome:
        case Certificate():
            return _issued(outcome, is_new=outcome.issued_at == now and outcome.pk not in told)
        case Refusal():
            return {"outcome": EnrolmentOutcome.REFUSED.value, "code": outcome.code.value, "reason": outcome.message}
    return {
        "outcome": EnrolmentOutcome.REFUSED.value,
        "code": "malformed",
        "reason": f"{outcome.field}: {outcome.reason}",
    }


def _issued(certificate: Certificate, *, is_new: bool) -> dict[str, Any]:
    return {
        "outcome": (EnrolmentOutcome.ISSUED if is_new else EnrolmentOutcome.KNOWN).value,
        "id": certificate.pk,
        "serial": certificate.serial,
        "not_after": certificate.not_after,
        "issuer": certificate.authority.slug,
        "pem": ssl.DER_cert_to_PEM_cert(bytes(certificate.der)),
    }


def _chain(issuer: Authority) -> str:
    return "".join(ssl.DER_cert_to_PEM_cert(bytes(each.der)) for each in chain(issuer))
