"""Pages of gateways: each driver's own fields, secrets that are never shown, and one message to oneself."""

from html import unescape
from ipaddress import ip_network

import pytest
from django.urls import reverse
from django.utils import timezone

from inventory.models import AuditEvent
from renewal.channels import trouble
from renewal.channels.messages import Delivery, Fate
from renewal.channels.sealing import opened
from renewal.models import Driver, Gateway
from tests import factories
from tests.certportal.forms import form_of
from tests.renewal.channels.gateways import SECRET, answered, gateway, http_server

ADD = "/admin/renewal/gateway/add/"
SETTINGS = {
    "method": "POST", "url": "https://sms.example/send", "headers": "Authorization: Bearer {secret}",
    "content_type": "application/json", "body": '{"to": "{number}", "text": "{text}"}', "reference_pointer": "/id",
}  # fmt: skip


def page_of(row: Gateway) -> str:
    return reverse("admin:renewal_gateway_change", args=[row.pk])


def errors_of(response) -> dict:
    return dict(response.context["adminform"].form.errors) if response.context else {}


def test_a_gateway_is_named_first_then_asked_what_its_driver_wants_to_know(admin_client):
    response = admin_client.post(ADD, {"name": "Operator", "driver": "sms_http", "fleet": ""})
    made = Gateway.objects.get()
    assert (response.url, made.channel, made.enabled) == (page_of(made), "sms", False)
    sent = form_of(admin_client, page_of(made)) | {f"own_{name}": value for name, value in SETTINGS.items()}
    sent |= {"secret": SECRET, "enabled": "on", "daily_cap": "500", "quiet_from": "22:00", "quiet_to": "07:00"}
    response = admin_client.post(page_of(made), sent)
    assert (response.status_code, errors_of(response)) == (302, {})
    made.refresh_from_db()
    assert (made.settings, opened(made.sealed_secret), made.enabled) == (SETTINGS, SECRET, True)
    shown = admin_client.get(page_of(made)).content.decode()
    assert SECRET not in shown
    assert "https://sms.example/send" in shown
    assert "the text is 1 SMS" in shown
    # What is not typed anew stays.
    assert admin_client.post(page_of(made), form_of(admin_client, page_of(made)) | {"enabled": "on"}).status_code == 302
    made.refresh_from_db()
    assert opened(made.sealed_secret) == SECRET
    assert SECRET not in str(list(AuditEvent.objects.values_list("details", flat=True)))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"own_url": "ftp://sms.example"}, "own_url"),
        ({"own_headers": "nonsense"}, "own_headers"),
        ({"text": "log in with {password}"}, "text"),
        ({"text": f"{SECRET} is no text", "secret": SECRET}, "text"),
        ({"quiet_from": "22:00"}, "__all__"),
        ({"quiet_from": "22:00", "quiet_to": "22:00"}, "__all__"),
        ({"cost": "-1"}, "cost"),
        ({"enabled": "on"}, "secret"),
    ],
)
def test_what_cannot_work_is_refused_beside_its_field(admin_client, changes, field):
    made = gateway(Driver.SMS_HTTP, enabled=False, sealed_secret=None, settings=SETTINGS)
    sent = form_of(admin_client, page_of(made))
    sent.pop("enabled", None)
    response = admin_client.post(page_of(made), sent | changes)
    assert list(errors_of(response)) == [field]


def test_a_second_gateway_for_the_same_channel_and_fleet_is_refused_until_the_first_is_disabled(admin_client):
    first, second = gateway(), gateway(name="second", enabled=False)
    sent = form_of(admin_client, page_of(second)) | {"enabled": "on"}
    response = admin_client.post(page_of(second), sent)
    assert "Another gateway is enabled" in str(errors_of(response))
    Gateway.objects.filter(pk=first.pk).update(enabled=False)
    assert admin_client.post(page_of(second), sent).status_code == 302


@pytest.mark.parametrize("driver", list(Driver))
def test_the_page_of_each_driver_shows_its_fields_and_how_it_stands(admin_client, page, driver):
    made = gateway(driver, daily_cap=1000)
    trouble.note(made.key, [Delivery(1, Fate.NEVER_LEFT, "answered <500>")], timezone.now(), made.name)
    text = unescape(page(page_of(made)))
    assert "in trouble" in text
    assert "answered <500>" in text
    assert "0 / 1,000" in text
    assert SECRET not in admin_client.get(page_of(made)).content.decode()
    assert "in trouble" in page("/admin/renewal/gateway/")


def test_one_is_sent_to_oneself_and_the_log_tells_who_did(admin_client):
    made = gateway(enabled=False)
    address = reverse("admin:renewal_gateway_try", args=[made.pk])
    response = admin_client.post(address, {"address": "+31612345678"}, follow=True)
    text = response.content.decode()
    assert "The next hop took it" in text
    assert "+31612345678" in text
    event = AuditEvent.objects.get(action="gateway:message:tried")
    assert (event.object_name, event.actor) == (f"gateway: {made}", "admin")
    assert event.details == {"address": "+31612345678", "fate": "taken", "detail": ""}
    text = admin_client.post(address, {"address": "112"}, follow=True).content.decode()
    assert "The number is not in E.164" in text
    assert AuditEvent.objects.filter(action="gateway:message:tried").count() == 2


def test_a_gateway_that_fails_says_why_to_who_tries_it(admin_client, settings):
    settings.WEBHOOK_NETWORKS = [ip_network("127.0.0.0/8")]
    with http_server(lambda *_: answered(500)) as server:
        made = gateway(Driver.SMS_HTTP, settings=SETTINGS | {"url": server.url})
        address = reverse("admin:renewal_gateway_try", args=[made.pk])
        text = admin_client.post(address, {"address": "+31612345678"}, follow=True).content.decode()
    assert "The gateway answered 500" in text


def test_who_looks_sees_the_limits_and_neither_settings_nor_a_button(db, client):
    made = gateway(Driver.SMS_HTTP, settings=SETTINGS, fleet=factories.fleet())
    factories.person("looker", "view_gateway", is_staff=True, all_fleets=True)
    client.force_login(factories.get_user_model().objects.get(username="looker"))
    text = client.get(page_of(made)).content.decode()
    assert "gateway sms_http" in text
    assert "sms.example" not in text
    assert "Send one" not in text
