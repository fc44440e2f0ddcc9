"""Exports as HTTP responses, for the admin and the API."""

from django.http import StreamingHttpResponse

from inventory.lists.exports import MEDIA_TYPES, Clock, Export


def download(export: Export, clock: Clock) -> StreamingHttpResponse:
    """Return the file. Raises ExportRefused."""
    name = f"{export.listing.name}-{clock():%Y%m%dT%H%M%SZ}.{export.format.value}"
    return StreamingHttpResponse(
        export.start(clock),
        content_type=MEDIA_TYPES[export.format],
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            # A proxy that collects the answer first would need room for all of it.
            "X-Accel-Buffering": "no",
        },
    )
