"""What gateways tell the portal by themselves, without a login: each message proves by its signature who sent it."""

from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from renewal.channels import receipts, twilio
from renewal.channels.receipts import Receipt
from renewal.channels.sealing import SecretUnreadable, opened
from renewal.models import Driver, Gateway


@csrf_exempt
@require_POST
def twilio_receipt(request: HttpRequest, pk: int) -> HttpResponse:
    """Note a status callback of Twilio. Who cannot sign it learns nothing, not even whether the gateway is there."""
    gateway = Gateway.objects.filter(pk=pk, driver=Driver.TWILIO).first()
    form = [(name, value) for name, values in request.POST.lists() for value in values]
    # The address that Twilio was given, not the one that the request claims to be for.
    url = settings.PUBLIC_PORTAL_URL + twilio.callback_path(pk)
    signature = request.headers.get("X-Twilio-Signature", "")
    if gateway is None or not twilio.is_signed(url, form, signature, _token(gateway)):
        return HttpResponse(status=HTTPStatus.FORBIDDEN)
    result = twilio.RESULTS.get(request.POST.get("MessageStatus", ""))
    sid = request.POST.get("MessageSid", "")
    if result and sid and "\0" not in sid:
        error = request.POST.get("ErrorCode", "")
        detail = f"Twilio error {error}" if error.isdigit() else ""
        now = timezone.now()
        receipts.note(gateway, [Receipt(sid[:100], now, result, detail)], now)
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


def _token(gateway: Gateway) -> str:
    try:
        return opened(gateway.sealed_secret)
    except SecretUnreadable:
        return ""
