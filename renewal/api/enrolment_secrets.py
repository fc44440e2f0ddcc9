"""One-time secrets over the API: what a factory line hands to its devices, each shown once."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from inventory.api.rest import bulk_rows
from inventory.api.rest.actors import actor_of
from inventory.api.rest.fields import DeviceSerial, StrictSerializer, Text
from inventory.api.rest.parameters import IDEMPOTENCY_KEY
from inventory.models import Device, fleets_of
from renewal import hindrances, secrets
from renewal.models import EnrolmentProtocol, EnrolmentSecret

_NO_STORE = {"Cache-Control": "no-store"}


class SecretOutcome(models.TextChoices):
    """What became of a row."""

    MADE = "made", _("made")
    REFUSED = "refused", _("refused")


class SecretRequestSerializer(StrictSerializer):
    fleet = Text(max_length=50, help_text="Label of the device's fleet")
    device = DeviceSerial(help_text="Serial number of the device")
    protocol = serializers.ChoiceField(EnrolmentProtocol.choices, help_text="The protocol by which it will enrol")


class SecretResultSerializer(serializers.Serializer[Any]):
    """A secret, or why there is none. For the description alone."""

    outcome = serializers.ChoiceField(SecretOutcome.choices)
    secret = serializers.CharField(required=False, help_text="Shown this once; only its hash is kept")
    expires_at = serializers.DateTimeField(required=False, help_text="Until when it is good, unless it is used before")
    reason = serializers.CharField(required=False, help_text="Why it was refused")
    details = serializers.DictField(required=False, help_text="The fields at fault, each with what it needs")


class SecretResultsSerializer(serializers.Serializer[Any]):
    """What became of each row. For the description alone."""

    counts = serializers.DictField(child=serializers.IntegerField(), help_text="How many had each outcome")
    results = SecretResultSerializer(many=True, help_text="In the order of the request")


class _Wanted(NamedTuple):
    label: str
    serial: str
    protocol: EnrolmentProtocol


class _Refused(NamedTuple):
    """A row that gets no secret: the field at fault, and why."""

    field: str
    reason: str


class EnrolmentSecretViewSet(GenericViewSet[EnrolmentSecret]):
    """One-time secrets by which devices enrol over EST and SCEP."""

    resource = "enrolment-secrets"
    queryset = EnrolmentSecret.objects.none()
    serializer_class = SecretRequestSerializer
    own_parameters = ()
    # A secret is kept nowhere: asked again, it is another one, and the earlier expires.
    answers_anew = True

    @extend_schema(
        request=bulk_rows.one_or_many("EnrolmentSecrets", SecretRequestSerializer),
        responses={200: SecretResultsSerializer, 201: SecretResultSerializer},
        filters=False,
        parameters=[IDEMPOTENCY_KEY],
    )
    def create(self, request: Request) -> Response:
        """Make the secret of a device, or of up to 1000 in a list. An earlier one that was not used ends with that."""
        reader, now = SecretRequestSerializer(), timezone.now()
        if not isinstance(request.data, list):
            [made] = _make({0: _wanted(reader.run_validation(request.data))}, request, now).values()
            if isinstance(made, _Refused):
                raise ValidationError({made.field: [made.reason]})
            return Response(_shown(made, now), status.HTTP_201_CREATED, headers=_NO_STORE)
        good, bad = bulk_rows.parsed(reader, bulk_rows.items(request.data))
        made_by_place = _make({place: _wanted(row) for place, row in good.items()}, request, now)
        results = [
            bulk_rows.refused(bad[place]) if place in bad else _shown(made_by_place[place], now)
            for place in range(len(good) + len(bad))
        ]
        counts = Counter(result["outcome"] for result in results)
        answer = {"counts": {outcome: counts[outcome] for outcome in SecretOutcome.values}, "results": results}
        return Response(answer, headers=_NO_STORE)


def _wanted(row: Mapping[str, Any]) -> _Wanted:
    return _Wanted(row["fleet"], row["device"], EnrolmentProtocol(row["protocol"]))


def _make(wanted: Mapping[int, _Wanted], request: Request, now: datetime) -> dict[int, str | _Refused]:
    """Return the secret of each row, or why it has none. A device that is named twice for a protocol has one secret."""
    devices = _devices(list(wanted.values()), request)
    hindered = hindrances.of_devices(devices.values())
    outcomes: dict[int, str | _Refused] = {}
    places: dict[EnrolmentProtocol, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, row in wanted.items():
        device = devices.get((row.label, row.serial))
        if device is None:
            text = f"There is no device {row.serial!r} in fleet {row.label!r}; register it first."
            outcomes[place] = _Refused("device", text)
        elif device.pk in hindered:
            outcomes[place] = _Refused("device", hindered[device.pk].text)
        else:
            places[row.protocol][device.pk].append(place)
    by_key = {device.pk: device for device in devices.values()}
    for protocol, of_devices in places.items():
        chosen = [by_key[pk] for pk in of_devices]
        made = secrets.create_many(chosen, protocol, now=now, actor=actor_of(request))
        outcomes |= {place: made[pk] for pk, at in of_devices.items() for place in at}
    return outcomes


def _devices(wanted: Sequence[_Wanted], request: Request) -> dict[tuple[str, str], Device]:
    """Return the devices of the rows that the caller sees, by label and serial number. One query."""
    labels, serials = {row.label for row in wanted}, {row.serial for row in wanted}
    seen = Device.objects.of_fleets(fleets_of(request.user)).select_related("fleet__authority")
    found = seen.filter(fleet__slug__in=labels, serial__in=serials)
    return {(device.fleet.slug, device.serial): device for device in found}


def _shown(made: str | _Refused, now: datetime) -> dict[str, Any]:
    if isinstance(made, _Refused):
        return bulk_rows.refused(ValidationError({made.field: [made.reason]}))
    return {"outcome": SecretOutcome.MADE.value, "secret": made, "expires_at": now + secrets.LIFETIME}
