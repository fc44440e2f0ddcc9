"""Forms of the admin, as a browser fills them."""

from typing import Any

from django.test import Client


def form_of(client: Client, address: str) -> dict[str, Any]:
    """Return what a browser would send back unchanged."""
    context = client.get(address).context
    form = context["adminform"].form
    sent: dict[str, Any] = {}
    for rows in context["inline_admin_formsets"]:
        management = rows.formset.management_form
        sent |= {management.add_prefix(name): management[name].value() for name in management.fields}
    for name, field in form.fields.items():
        value = form[name].field.prepare_value(form[name].value())
        sent[name] = "" if value is None else value
        if field.show_hidden_initial:
            sent[f"initial-{name}"] = sent[name]
    return sent
