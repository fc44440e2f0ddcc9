"""Objects of the configuration, made and changed one at a time by the rules of their models; the audit log tells of it.

A change needs If-Match. The object is locked, compared and written in one transaction.
"""

from typing import Any, TypeVar

from django.core.exceptions import ValidationError as ModelValidationError
from django.db import IntegrityError, transaction
from django.db.models import Model
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied, ValidationError
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api.rest.actors import actor_of
from inventory.api.rest.etags import PreconditionFailed, condition, matches, tag
from inventory.api.rest.parameters import ETAG, IDEMPOTENCY_KEY, IF_MATCH
from inventory.api.rest.read_views import ReadViewSet
from inventory.api.rest.references import ID
from inventory.audit.changes import changed
from inventory.audit.record import record
from inventory.models import fleets_of

M = TypeVar("M", bound=Model)


class Overtaken(APIException):
    """Between the look at what there is and the write, somebody else took what must be unique."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"
    default_detail = "Somebody wrote the same at the same time, and nothing was done. Read again what there is now."


class SeenViewSet(ReadViewSet[M]):
    """Objects that are acted upon by who has seen them as they are."""

    def get_locked(self, wanted: str) -> M:
        """Return the object, locked until the transaction ends. Raises PreconditionFailed unless `wanted` names it."""
        seen = self.get_object()
        # Read again when nobody else can write it any more.
        list(type(seen)._base_manager.select_for_update().filter(pk=seen.pk).values_list("pk"))
        obj = self.get_object()
        if not matches(wanted, tag(self.get_serializer(obj).data)):
            raise PreconditionFailed
        return obj


class ChangeViewSet(SeenViewSet[M]):
    """Objects that can be changed. What can be said of one is what its serializer does not mark as read-only."""

    lookup_value_regex = ID
    # What fleets have in common, only people of all fleets change.
    shared = False

    def check_permissions(self, request: Request) -> None:
        super().check_permissions(request)
        if self.shared and request.method not in SAFE_METHODS and fleets_of(request.user) is not None:
            raise PermissionDenied("Fleets have this in common: only somebody who sees all fleets can change it.")

    @extend_schema(parameters=[IF_MATCH, ETAG])
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change an object; what is left out stays."""
        wanted = condition(request)
        with transaction.atomic():
            obj = self.get_locked(wanted)
            self._save(request, obj, self.get_serializer(obj).data)
        return self._shown(obj, status.HTTP_200_OK)

    def _save(self, request: Request, obj: M | None, before: Any) -> M:
        """Write what the body says and record it. Raises ValidationError."""
        reader = self.get_serializer(obj, data=request.data, partial=obj is not None)
        reader.is_valid(raise_exception=True)
        try:
            with transaction.atomic():
                saved: M = reader.save()
        except ModelValidationError as error:
            raise ValidationError(_details(error)) from None
        except IntegrityError as error:
            raise Overtaken from error
        after = self.get_serializer(saved).data
        changes = {
            name: [before.get(name) if before else None, after[name]]
            for name in reader.initial_data
            if before is None or before.get(name) != after[name]
        }
        if changes:
            record([changed(saved, changes, actor=actor_of(request), now=timezone.now(), added=obj is None)])
        return saved

    def _shown(self, obj: M, code: int) -> Response:
        shown = self.get_serializer(obj).data
        headers = {"ETag": tag(shown)}
        if code == status.HTTP_201_CREATED:
            headers["Location"] = f"{self.request.path}{obj.pk}/"
        return Response(shown, code, headers=headers)


class WriteViewSet(ChangeViewSet[M]):
    """Objects that can be made and changed."""

    @extend_schema(parameters=[IDEMPOTENCY_KEY, ETAG], filters=False)
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make an object."""
        with transaction.atomic():
            made = self._save(request, None, None)
        return self._shown(made, status.HTTP_201_CREATED)


def _details(error: ModelValidationError) -> dict[str, list[str]]:
    details = error.message_dict if hasattr(error, "error_dict") else {"non_field_errors": error.messages}
    return {("non_field_errors" if name == "__all__" else name): texts for name, texts in details.items()}
