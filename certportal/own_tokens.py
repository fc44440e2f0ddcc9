"""The pages on which a person makes API tokens of his or her own, sees them and withdraws them."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables

from certportal.api.scopes import Resource
from certportal.api.tokens import TokenRefused, create_token, revoke_token
from certportal.api.usable_scopes import Usable, usable_by
from certportal.models import ApiToken, User
from inventory.admin import cells
from inventory.admin.audited import actor_of
from inventory.admin.shown_once import ShownOnce
from inventory.models import Fleet, fleets_of

_DAYS = [(30, gettext_lazy("30 days")), (90, gettext_lazy("90 days")), (365, gettext_lazy("365 days"))]
# Answers only POST.
_NOT_LISTED = {"receipts"}
_MOST_FLEETS = 20


class TokenForm(forms.Form):
    """What a token is for. Offered are the scopes that are `usable`, and those that read are chosen to begin with."""

    name = forms.CharField(
        label=gettext_lazy("What it is for"),
        max_length=100,
        help_text=gettext_lazy("The program or the person's script. The audit log names it beside you."),
    )
    reads = forms.MultipleChoiceField(
        label=gettext_lazy("It may read"), required=False, widget=forms.CheckboxSelectMultiple
    )
    writes = forms.MultipleChoiceField(
        label=gettext_lazy("It may change, which includes reading"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    days = forms.TypedChoiceField(
        label=gettext_lazy("It ends after"),
        coerce=int,
        choices=_DAYS,
        initial=_DAYS[0][0],
    )

    def __init__(self, *args: Any, usable: list[Usable], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, writes in (("reads", False), ("writes", True)):
            field: Any = self.fields[name]
            field.choices = [(each.scope, each.sentence) for each in usable if each.writes == writes]
            if not field.choices:
                del self.fields[name]
        if "reads" in self.fields:
            self.initial.setdefault("reads", [each.scope for each in usable if not each.writes])

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if not values.get("reads") and not values.get("writes") and not {"reads", "writes"} & self.errors.keys():
            # No scopes at all would mean all that may be read.
            raise forms.ValidationError(_("Nothing is chosen that it may do; choose at least one."))
        return values

    def scopes(self) -> list[str]:
        """Return what was chosen. Changing includes reading."""
        writes = self.cleaned_data.get("writes", [])
        included = {scope.partition(":")[0] for scope in writes}
        return [*(scope for scope in self.cleaned_data.get("reads", []) if scope not in included), *writes]


@sensitive_variables("secret")
def page(request: HttpRequest, site: admin.AdminSite, now: datetime) -> HttpResponse:
    """Show the person's tokens and a form for another one; POST makes it and shows it, this once.

    The answer to POST is the page itself: a redirect would have to keep the token somewhere. Sent again, it is refused,
    because the name is taken.
    """
    user = _person(request)
    usable = usable_by(user)
    form = TokenForm(request.POST or None, usable=usable)
    made: dict[str, Any] = {}
    if request.method == "POST" and form.is_valid():
        try:
            token, secret = create_token(
                user,
                name=form.cleaned_data["name"],
                scopes=form.scopes(),
                lifetime=timedelta(days=form.cleaned_data["days"]),
                now=now,
                actor=actor_of(request),
            )
        except TokenRefused as refusal:
            form.add_error("name", str(refusal))
        else:
            form = TokenForm(usable=usable)
            made = {"made": token, "secret": ShownOnce(secret), "curl": ShownOnce(_curl(request, token, secret))}
    fleets = fleets_of(user)
    context = {
        **site.each_context(request),
        "title": _("API tokens"),
        "now": now,
        "tokens": ApiToken.objects.filter(user=user).order_by("-created"),
        "form": form,
        "usable": usable,
        "own_fleets": None if fleets is None else Fleet.objects.of_fleets(fleets).order_by("slug")[:_MOST_FLEETS],
        "api": request.build_absolute_uri(reverse("api:api-root")),
        **made,
    }
    return TemplateResponse(request, "certportal/own_tokens.html", context)


def revoke(request: HttpRequest, site: admin.AdminSite, now: datetime) -> HttpResponse:
    """Say what withdrawing the token called `?name=` does; do it on POST. Raises Http404: the person has none such.

    Named, since the key of its row is the hash of the token, which has no place in addresses.
    """
    token = ApiToken.objects.filter(user=_person(request), name=request.GET.get("name", "")).first()
    if token is None:
        raise Http404
    if request.method == "POST":
        revoke_token(token, now=now, actor=actor_of(request))
        messages.success(request, _("The token “%(name)s” is withdrawn.") % {"name": cells.visible(token.name)})
        return HttpResponseRedirect(reverse("admin:own_tokens"))
    context = {**site.each_context(request), "title": _("Withdraw a token"), "token": token, "now": now}
    return TemplateResponse(request, "certportal/own_token_revoke.html", context)


def _curl(request: HttpRequest, token: ApiToken, secret: str) -> str:
    """Return a line for a shell that shows that a token works: on the first resource that it reads."""
    held = {scope.partition(":")[0] for scope in token.scopes} - _NOT_LISTED
    listed = next((f"api:{each}-list" for each in Resource.values if each in held), "api:api-root")
    return f'curl -H "Authorization: Bearer {secret}" "{request.build_absolute_uri(reverse(listed))}"'


def _person(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user
