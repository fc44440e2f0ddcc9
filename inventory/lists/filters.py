"""Filters of the inventory's lists, for the API and for filters that are stored as URLs.

Ranges are half-open, `after <= value < before`, so that neighbouring ranges share no row.
"""

import re
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.db.models import QuerySet
from django_filters import rest_framework as filters
from django_filters.fields import IsoDateTimeField
from django_filters.filters import QuerySetRequestMixin

from inventory.formats import device_fields
from inventory.lists.search import certificates_named, devices_named, events_named
from inventory.models import (
    AuditAction,
    AuditEvent,
    Authority,
    Batch,
    Certificate,
    CertificateStatus,
    Connectivity,
    Device,
    DeviceStatus,
    Fleet,
    Profile,
    Purpose,
    Site,
    fleets_of,
)
from inventory.models.certificate import CertificateQuerySet
from inventory.models.device import DeviceQuerySet
from inventory.models.profile import KEY_TYPE_CHOICES
from inventory.x509.serials import stored_forms

_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_YES_OR_NO = [("true", "true"), ("false", "false")]


class SerialNumberField(forms.CharField):
    """The serial number of a certificate, in any common notation; cleaned to the forms that may be stored."""

    def clean(self, value: Any) -> set[str] | None:
        text = super().clean(value)
        if not text:
            return None
        forms_of_it = stored_forms(text)
        if not forms_of_it:
            raise forms.ValidationError("Give at most 20 octets in hexadecimal, colons allowed, or in decimal.")
        return forms_of_it


class Sha256Field(forms.CharField):
    """A SHA-256 hash, as bytes."""

    def clean(self, value: Any) -> bytes | None:
        text = super().clean(value).lower().replace(":", "")
        if not text:
            return None
        if not _SHA256.match(text):
            raise forms.ValidationError("Give 64 hexadecimal digits, colons allowed.")
        return bytes.fromhex(text)


class NameField(forms.CharField):
    """The name of rows in `queryset`, cleaned to their ids: fleets may use one name each for a thing of their own.

    With ids in its hands PostgreSQL knows how many rows to expect, and does not walk a whole table to find one.
    """

    def __init__(self, *, queryset: QuerySet[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.queryset = queryset

    def clean(self, value: Any) -> list[int]:
        text = super().clean(value)
        if not text:
            return []
        ids = list(self.queryset.filter(name=text).values_list("id", flat=True))
        if not ids:
            raise forms.ValidationError("Nothing has this name.")
        return ids


class MomentField(IsoDateTimeField):
    """A date or a time in ISO 8601, cleaned to UTC: PostgreSQL refuses offsets that Python takes."""

    default_error_messages = {
        "invalid": "Give a date or a time in ISO 8601, such as 2027-03-01 or 2027-03-01T12:00:00Z."
    }

    def clean(self, value: Any) -> datetime | None:
        moment: datetime | None = super().clean(value)
        try:
            return moment and moment.astimezone(UTC)
        except OverflowError:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None


class PhoneNumberField(forms.CharField):
    """A phone number as devices keep it."""

    def clean(self, value: Any) -> str:
        text: str = super().clean(value)
        if text and not device_fields.PHONE_NUMBER.fullmatch(text):
            raise forms.ValidationError(
                "Give the number as +60123456789; in an address the plus sign is written %(plus)s.",
                params={"plus": "%2B"},
            )
        return text


class CertificateSerialFilter(filters.CharFilter):
    field_class = SerialNumberField

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(lookup_expr="in", **kwargs)


class _SeenRows(QuerySetRequestMixin):
    """A choice among the rows of the caller's fleets; another fleet's is as unknown as none."""

    def get_queryset(self, request: Any) -> Any:
        rows = super().get_queryset(request)
        # The description of the API is made for nobody.
        return rows if request is None else rows.of_fleets(fleets_of(request.user))


class NameFilter(_SeenRows, filters.CharFilter):
    field_class = NameField

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(lookup_expr="in", **kwargs)


class MomentFilter(filters.IsoDateTimeFilter):
    field_class = MomentField


class Sha256Filter(filters.CharFilter):
    field_class = Sha256Field


class PhoneNumberFilter(filters.CharFilter):
    field_class = PhoneNumberField


class SlugFilter(_SeenRows, filters.ModelChoiceFilter):
    """A row chosen by its slug. An unknown slug is refused: it is a typing error, not an empty list."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("error_messages", {"invalid_choice": "Nothing has this slug."})
        super().__init__(to_field_name="slug", **kwargs)


def after(field_name: str, label: str) -> MomentFilter:
    """The lower end of a range of time, itself included."""
    return MomentFilter(field_name=field_name, lookup_expr="gte", help_text=f"{label} at this time or later")


def before(field_name: str, label: str) -> MomentFilter:
    """The upper end of a range of time, itself not included."""
    return MomentFilter(field_name=field_name, lookup_expr="lt", help_text=f"{label} before this time")


class FleetFilter(filters.FilterSet):
    authority = SlugFilter(queryset=Authority.objects.all(), help_text="Slug of the issuing authority")
    profile = SlugFilter(queryset=Profile.objects.all(), help_text="Slug of the profile")

    class Meta:
        model = Fleet
        fields: list[str] = []


class DeviceFilter(filters.FilterSet):
    search = filters.CharFilter(
        method="filter_search",
        help_text="What names devices: beginning of the serial, MQTT id, phone number, batch, site, or a certificate",
    )
    fleet = SlugFilter(queryset=Fleet.objects.all(), help_text="Slug of the fleet")
    serial = filters.CharFilter(help_text="Serial number, exactly")
    serial__startswith = filters.CharFilter(
        field_name="serial", lookup_expr="startswith", help_text="Beginning of the serial number"
    )
    batch = NameFilter(queryset=Batch.objects.all(), help_text="Name of the manufacturing batch")
    site = NameFilter(queryset=Site.objects.all(), help_text="Name of the site")
    connectivity = filters.ChoiceFilter(choices=Connectivity.choices)
    status = filters.ChoiceFilter(choices=DeviceStatus.choices)
    mqtt_id = filters.CharFilter(help_text="MQTT client id, exactly")
    phone_number = PhoneNumberFilter(help_text="E.164; the plus sign is written %2B in an address")
    last_seen_after = MomentFilter(method="filter_last_seen_after", help_text="Last seen at this time or later")
    last_seen_before = MomentFilter(method="filter_last_seen_before", help_text="Last seen before this time")
    never_seen = filters.ChoiceFilter(choices=_YES_OR_NO, method="filter_never_seen", help_text="Never seen at all")
    never_certified = filters.ChoiceFilter(
        choices=_YES_OR_NO, method="filter_never_certified", help_text="Never had a certificate, of any issuer"
    )

    class Meta:
        model = Device
        fields: list[str] = []

    def filter_search(self, devices: DeviceQuerySet, name: str, value: str) -> Any:
        return devices_named(devices, value, fleets_of(self.request.user))

    def filter_last_seen_after(self, devices: DeviceQuerySet, name: str, value: datetime) -> DeviceQuerySet:
        return devices.seen_since(value)

    def filter_last_seen_before(self, devices: DeviceQuerySet, name: str, value: datetime) -> DeviceQuerySet:
        return devices.silent_since(value)

    def filter_never_seen(self, devices: DeviceQuerySet, name: str, value: str) -> DeviceQuerySet:
        return devices.never_seen() if value == "true" else devices.ever_seen()

    def filter_never_certified(self, devices: DeviceQuerySet, name: str, value: str) -> DeviceQuerySet:
        return devices.without_certificate() if value == "true" else devices.with_certificate()


class CertificateFilter(filters.FilterSet):
    """`now` decides what has expired."""

    search = filters.CharFilter(
        method="filter_search",
        help_text="What names certificates: serial or its beginning, fingerprint, or what names their devices",
    )
    key_type = filters.ChoiceFilter(choices=KEY_TYPE_CHOICES)
    connectivity = filters.ChoiceFilter(
        field_name="device__connectivity", choices=Connectivity.choices, help_text="Class of the device"
    )
    fleet = SlugFilter(field_name="device__fleet", queryset=Fleet.objects.all(), help_text="Slug of the device's fleet")
    device = filters.CharFilter(field_name="device__serial", help_text="Serial number of the device, exactly")
    batch = NameFilter(
        field_name="device__batch", queryset=Batch.objects.all(), help_text="Name of the device's manufacturing batch"
    )
    site = NameFilter(field_name="device__site", queryset=Site.objects.all(), help_text="Name of the device's site")
    authority = SlugFilter(queryset=Authority.objects.all(), help_text="Slug of the issuer")
    profile = SlugFilter(queryset=Profile.objects.all(), help_text="Slug of the profile")
    serial = CertificateSerialFilter(help_text="Serial number: hexadecimal, colons allowed, or decimal")
    sha256 = Sha256Filter(help_text="SHA-256 fingerprint of the certificate: hexadecimal, colons allowed")
    spki_sha256 = Sha256Filter(help_text="SHA-256 of the public key (SubjectPublicKeyInfo): hexadecimal")
    status = filters.ChoiceFilter(
        choices=CertificateStatus.choices,
        method="filter_status",
        help_text=(
            "'valid' holds the expiring and the unconfirmed too, 'expiring' those that end within 90 days, confirmed "
            "or not; 'expired' are those in use that have ended; 'issuer_revoked' those in use of which an issuer, "
            "at whatever height, was revoked"
        ),
    )
    purpose = filters.ChoiceFilter(choices=Purpose.choices)
    not_after_after = after("not_after", "Expires")
    not_after_before = before("not_after", "Expires")
    issued_after = after("issued_at", "Issued")
    issued_before = before("issued_at", "Issued")

    class Meta:
        model = Certificate
        fields: list[str] = []

    def __init__(self, *args: Any, now: datetime, **kwargs: Any) -> None:
        self.now = now
        super().__init__(*args, **kwargs)

    def filter_search(self, certificates: CertificateQuerySet, name: str, value: str) -> Any:
        return certificates_named(certificates, value, fleets_of(self.request.user))

    def filter_status(self, certificates: CertificateQuerySet, name: str, value: str) -> CertificateQuerySet:
        return certificates.of_status(CertificateStatus(value), self.now)


class AuditEventFilter(filters.FilterSet):
    action = filters.ChoiceFilter(choices=AuditAction.choices)
    actor = filters.CharFilter(help_text="Name of who acted, exactly")
    device = filters.CharFilter(field_name="device__serial", help_text="Serial number of the device, exactly")
    fleet = SlugFilter(field_name="device__fleet", queryset=Fleet.objects.all(), help_text="Slug of the device's fleet")
    certificate = CertificateSerialFilter(
        field_name="certificate__serial", help_text="Serial number: hexadecimal, colons allowed, or decimal"
    )
    at_after = after("at", "Happened")
    at_before = before("at", "Happened")
    # The last: what it looks at is narrowed by the others.
    search = filters.CharFilter(
        method="filter_search",
        help_text="What names a device or certificate, who acted, a request, or part of the name of an object; "
        "the latest 200 by each",
    )

    class Meta:
        model = AuditEvent
        fields: list[str] = []

    def filter_search(self, events: Any, name: str, value: str) -> Any:
        return events_named(events, value, fleets_of(self.request.user))
