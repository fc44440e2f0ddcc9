"""Imports: which there were, how far they are, what was rejected; and the form that begins one."""

from pathlib import Path
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.admin import cells, links
from inventory.admin.audited import AuditedAdmin, ReadOnlyAdmin, actor_of
from inventory.admin.scoped import SharedAdmin
from inventory.admin.uploading import takes_upload
from inventory.formats.imports import Target
from inventory.importing import runs, uploads
from inventory.importing.rejects import path_of
from inventory.importing.sources.detection import Reading
from inventory.importing.sources.files import SourceRefused
from inventory.models import ColumnMapping, Fleet, FleetIds, ImportRun, ImportState, fleets_of
from inventory.models.importing import ENCODINGS, LINKS, PRODUCTS

# htmx: the answer that ends polling.
_STOP_POLLING = 286
_TONES = {
    ImportState.WAITING: "neutral",
    ImportState.RUNNING: "attention",
    ImportState.STOPPED: "stopped",
    ImportState.FINISHED: "good",
}
_WORDS = {
    "records": gettext_lazy("records read"),
    "devices_new": gettext_lazy("new devices"),
    "devices_known": gettext_lazy("devices known before"),
    "devices_updated": gettext_lazy("of them corrected"),
    "certificates_new": gettext_lazy("new certificates"),
    "certificates_known": gettext_lazy("certificates known before"),
    "certificates_repeated": gettext_lazy("certificates repeated in the source"),
    "certificates_revoked": gettext_lazy("certificates newly known as revoked"),
    "authorities_new": gettext_lazy("new external authorities"),
    "rejected": gettext_lazy("rejected"),
}


class ImportForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy("CSV, JSON lines, PEM, DER, PKCS #7 or ZIP, at most 20 MiB; larger ones by command."),
    )
    fleet = forms.ModelChoiceField(
        Fleet.objects.all(),
        label=gettext_lazy("Fleet"),
        required=False,
        help_text=gettext_lazy("Of rows that name none."),
    )
    mapping = forms.ModelChoiceField(
        ColumnMapping.objects.all(),
        label=gettext_lazy("Column mapping"),
        required=False,
        help_text=gettext_lazy("Without one, columns mean what they are called."),
    )
    product = forms.ChoiceField(
        label=gettext_lazy("Left by"),
        required=False,
        choices=[("", gettext_lazy("no product in particular")), *PRODUCTS],
    )
    link = forms.ChoiceField(
        label=gettext_lazy("A certificate finds its device"),
        required=False,
        choices=[("", gettext_lazy("as the mapping or product says")), *LINKS],
    )
    encoding = forms.ChoiceField(
        label=gettext_lazy("Encoding"), required=False, choices=[("", gettext_lazy("as the mapping says")), *ENCODINGS]
    )
    update_known = forms.BooleanField(
        label=gettext_lazy("Correct known devices"),
        required=False,
        help_text=gettext_lazy(
            "Site, batch, coordinates, MQTT id, phone number and connectivity class become what the file says; where "
            "it says nothing they stay."
        ),
    )

    def __init__(self, *args: Any, fleets: FleetIds, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["fleet"].queryset = Fleet.objects.of_fleets(fleets)  # type: ignore[attr-defined]  # of models

    def clean_file(self) -> Any:
        upload = self.cleaned_data["file"]
        if upload.size > uploads.MAX_BYTES:
            raise forms.ValidationError(
                _("The file has %(size)s bytes; at most %(most)s are taken here. Use manage.py import_inventory.")
                % {"size": cells.count(upload.size), "most": cells.count(uploads.MAX_BYTES)}
            )
        return upload

    def reading(self) -> Reading:
        said = {name: self.cleaned_data[name] for name in ("link", "encoding", "product")}
        return uploads.reading(self.cleaned_data["mapping"], **said)


class ImportRunAdmin(ReadOnlyAdmin):
    empty_state = gettext_lazy(
        "Nothing was imported yet. Import a file here, or one of any size by manage.py import_inventory."
    )
    change_form_template = "admin/inventory/importrun.html"
    change_list_template = "admin/inventory/importruns.html"
    list_display = ["title", "state_word", "kind", "progress", "records", "rejected", "begun", "who"]
    list_filter = ["state", "dry_run"]

    def get_urls(self) -> list[URLPattern]:
        guard = self.admin_site.admin_view
        own = [
            path("begin/", guard(self.begin), name="inventory_importrun_begin"),
            path("<int:pk>/progress/", guard(self.progress_block), name="inventory_importrun_progress"),
            path("<int:pk>/rejects/", guard(self.rejects), name="inventory_importrun_rejects"),
            path("<int:pk>/in-earnest/", guard(self.in_earnest), name="inventory_importrun_in_earnest"),
        ]
        return [*own, *super().get_urls()]

    # --- The list ---------------------------------------------------------------------------------------------------

    @admin.display(description=gettext_lazy("source"))
    def title(self, run: ImportRun) -> SafeString:
        return cells.name(str(run))

    @admin.display(description=gettext_lazy("state"))
    def state_word(self, run: ImportRun) -> SafeString:
        return cells.state(_TONES[ImportState(run.state)], run.get_state_display())

    @admin.display(description=gettext_lazy("kind"))
    def kind(self, run: ImportRun) -> str:
        return _("dry run") if run.dry_run else _("import")

    @admin.display(description=gettext_lazy("progress"))
    def progress(self, run: ImportRun) -> str:
        return f"{run.share:.0%}"

    @admin.display(description=gettext_lazy("began"))
    def begun(self, run: ImportRun) -> SafeString:
        return cells.when(run.started_at, timezone.now(), to_the_minute=True)

    @admin.display(description=gettext_lazy("who"))
    def who(self, run: ImportRun) -> SafeString:
        return cells.name(run.actor)

    # --- The page ---------------------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        run: ImportRun | None = self.get_object(request, object_id)
        context = self.page(run) if run else {}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def page(self, run: ImportRun) -> dict[str, Any]:
        rate = run.records / max(1.0, run.spent.total_seconds())
        share = run.share
        left = run.spent * (1 / share - 1) if 0 < share < 1 and run.state == ImportState.RUNNING else None
        now = timezone.now()
        return {
            "now": now,
            "run": run,
            "name": run.name,
            "state": cells.state(_TONES[ImportState(run.state)], run.get_state_display()),
            "share": share,
            "rate": rate,
            "left": left,
            "going_on": run.state in runs.UNFINISHED,
            "stuck": runs.is_stuck(run, now),
            "resumed_by_command": not uploads.is_upload(run),
            "counts": [(_WORDS[name], count) for name, count in runs.counts(run).items()],
            "mapping": run.reading.get("mapping", []),
            "rejects_url": reverse("admin:inventory_importrun_rejects", args=[run.pk]) if run.rejected else "",
            "may_import": run.dry_run and run.state == ImportState.FINISHED and Path(run.source).is_file(),
        }

    def progress_block(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Answer the polling of the page; the last answer tells the browser to stop."""
        run = self._visible(request, pk)
        context = self.page(run)
        status = 200 if context["going_on"] else _STOP_POLLING
        return TemplateResponse(request, "admin/inventory/importrun_progress.html", context, status=status)

    def rejects(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        run = self._visible(request, pk)
        try:
            stream = path_of(run.pk).open("rb")
        except FileNotFoundError:
            raise Http404 from None
        return FileResponse(stream, as_attachment=True, filename=f"rejects-{run.pk}.csv", content_type="text/csv")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ImportRun]:
        return super().get_queryset(request).select_related("fleet")

    def _visible(self, request: HttpRequest, pk: int) -> ImportRun:
        run = ImportRun.objects.of_fleets(fleets_of(request.user)).select_related("fleet").filter(pk=pk).first()
        if run is None:
            raise Http404
        if not self.has_view_permission(request, run):
            raise PermissionDenied
        return run

    # --- Beginning one ----------------------------------------------------------------------------------------------

    @takes_upload(uploads.MAX_BYTES, "inventory.add_importrun")
    def begin(self, request: HttpRequest) -> HttpResponse:
        """Take a file and try it: what it would do is shown before anything is done."""
        if not request.user.has_perm("inventory.add_importrun"):
            raise PermissionDenied("inventory.add_importrun")
        fleets = fleets_of(request.user)
        sent = [request.POST, request.FILES] if request.method == "POST" else []
        form = ImportForm(*sent, fleets=fleets)
        if request.method == "POST" and form.is_valid():
            upload = form.cleaned_data["file"]
            try:
                kept = uploads.keep(upload.name, upload.chunks())
                run = uploads.begin(
                    kept,
                    form.reading(),
                    form.cleaned_data["fleet"],
                    within=fleets,
                    dry_run=True,
                    update_known=form.cleaned_data["update_known"],
                    now=timezone.now(),
                    actor=actor_of(request),
                )
            except SourceRefused as refusal:
                form.add_error("file", str(refusal))
            except OSError as error:
                form.add_error("file", _("The file could not be kept: %s.") % error.strerror)
            else:
                return HttpResponseRedirect(links.page("inventory_importrun", run.pk))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Import a file"),
            "form": form,
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/inventory/begin_import.html", context)

    def in_earnest(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Import what a dry run has tried."""
        run = self._visible(request, pk)
        if request.method != "POST" or not request.user.has_perm("inventory.add_importrun"):
            raise PermissionDenied("inventory.add_importrun")
        try:
            begun = uploads.begin_in_earnest(
                run, within=fleets_of(request.user), now=timezone.now(), actor=actor_of(request)
            )
        except SourceRefused as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(links.page("inventory_importrun", pk))
        return HttpResponseRedirect(links.page("inventory_importrun", begun.pk))


class MappingForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    def clean_columns(self) -> Any:
        columns = self.cleaned_data["columns"]
        known = {target.value for target in Target}
        if not isinstance(columns, dict) or not set(columns.values()) <= known:
            raise forms.ValidationError(
                _('Write {"COLUMN": "TARGET"}; targets are %s.') % ", ".join(target.value for target in Target)
            )
        if len(set(columns.values())) < len(columns):
            raise forms.ValidationError(_("Two columns are mapped to the same target."))
        return columns


class ColumnMappingAdmin(SharedAdmin, AuditedAdmin):
    empty_state = gettext_lazy("No mapping yet. A mapping says once what the columns of a manifest mean.")
    form = MappingForm
    list_display = ["title", "link", "encoding"]
    search_fields = ["name"]

    @admin.display(description=gettext_lazy("name"))
    def title(self, mapping: ColumnMapping) -> SafeString:
        return cells.name(mapping.name)
