"""Addresses of gateways, as forms take them."""

from django import forms
from django.utils.translation import gettext_lazy as _


class HttpAddressField(forms.CharField):
    """A whole http(s) address. Its host may be a name of the own network, which Django's URLField refuses."""

    def validate(self, value: str) -> None:
        super().validate(value)
        if not value.startswith(("https://", "http://")) or not value.isascii() or " " in value:
            raise forms.ValidationError(_("Give the whole address, beginning with https://."))
