"""Files of work orders as HTTP responses, for the admin and the API."""

from django.http import HttpResponse

from renewal.field.files import File


def download(file: File) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{file.name}"', "Cache-Control": "no-store"}
    return HttpResponse(file.content, content_type=file.media_type, headers=headers)
