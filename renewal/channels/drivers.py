"""The drivers of gateways: the form that validates the settings of each, and how it is made from a row."""

from collections.abc import Callable, Mapping
from datetime import datetime

from django import forms
from django.conf import settings

from renewal.channels import smpp, sms_http, twilio, webhook
from renewal.channels.console import Console
from renewal.channels.messages import TriggerChannel
from renewal.channels.mqtt import Broker, MqttChannel
from renewal.channels.sealing import opened
from renewal.channels.smpp import Smsc, SmsOverSmpp
from renewal.channels.sms_http import HttpGateway, SmsOverHttp
from renewal.channels.twilio import Twilio
from renewal.channels.webhook import Webhook
from renewal.models import Driver, Gateway

# Drivers that are not here have nothing to be set.
FORMS: Mapping[Driver, type[forms.Form]] = {
    Driver.SMS_HTTP: sms_http.Settings,
    Driver.SMPP: smpp.Settings,
    Driver.TWILIO: twilio.Settings,
    Driver.WEBHOOK: webhook.Settings,
}
# Drivers that log in with a password or a token that somebody types.
WITH_SECRET = frozenset({Driver.SMS_HTTP, Driver.SMPP, Driver.TWILIO})


def driver_of(gateway: Gateway, clock: Callable[[], datetime]) -> TriggerChannel:
    """Return what talks to a gateway. Raises SecretUnreadable."""
    own = gateway.settings
    match Driver(gateway.driver):
        case Driver.MQTT:
            return MqttChannel(Broker.from_url(settings.MQTT_BROKER_URL), clock=clock)
        case Driver.SMS_HTTP:
            secret = opened(gateway.sealed_secret)
            http = HttpGateway(**own)
            return SmsOverHttp(http, sender=gateway.sender, text=gateway.text, secret=secret, clock=clock)
        case Driver.SMPP:
            return SmsOverSmpp(smsc_of(gateway), sender=gateway.sender, text=gateway.text, clock=clock)
        case Driver.TWILIO:
            return Twilio(
                account_sid=own["account_sid"],
                api=own["api"],
                callback=settings.PUBLIC_PORTAL_URL + twilio.callback_path(gateway.pk),
                sender=gateway.sender,
                text=gateway.text,
                secret=opened(gateway.sealed_secret),
                clock=clock,
            )
        case Driver.CONSOLE:
            return Console(gateway=gateway.pk, text=gateway.text, clock=clock)
        case Driver.WEBHOOK:
            secret = webhook.signing_secret(gateway.pk, own["secret_number"])
            return Webhook(url=own["url"], secret=secret, clock=clock)


def smsc_of(gateway: Gateway) -> Smsc:
    """Return the message centre of an SMPP gateway. Raises SecretUnreadable."""
    return Smsc(**gateway.settings, password=opened(gateway.sealed_secret))
