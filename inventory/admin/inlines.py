"""Rows within a form."""

from typing import Any

from django.contrib import admin
from django.forms import BaseInlineFormSet, Field
from django.forms.formsets import DELETION_FIELD_NAME
from django.http import HttpRequest

from inventory.admin.form_fields import FORM_FIELDS
from inventory.admin.scoped import ScopedChoices


class _Rows(BaseInlineFormSet):  # type: ignore[type-arg]  # generic only in the stubs
    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        if DELETION_FIELD_NAME in form.fields:
            field = form.fields[DELETION_FIELD_NAME]
            field.widget.attrs["aria-label"] = str(field.label)


class RowsInline(ScopedChoices, admin.TabularInline):  # type: ignore[type-arg]  # generic only in the stubs
    """Rows in a table. Their labels head the columns; who reads by ear gets them at each field as well."""

    extra = 0
    formset = _Rows
    formfield_overrides = FORM_FIELDS

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Field | None:
        field: Field | None = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            # The admin wraps the widgets of related rows.
            widget: Any = getattr(field.widget, "widget", field.widget)
            widget.attrs["aria-label"] = str(field.label)
        return field
