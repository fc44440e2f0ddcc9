"""Saved filters over the API: a person's own, and those that others share."""

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from rest_framework import serializers

from certportal.models import SavedFilter, SavedList, User
from inventory.api.rest.read_views import ReadViewSet
from inventory.api.rest.references import ID


class SavedFilterFilter(filters.FilterSet):
    list = filters.ChoiceFilter(choices=SavedList.choices, help_text="The list that it narrows")

    class Meta:
        model = SavedFilter
        fields: list[str] = []


class SavedFilterSerializer(serializers.ModelSerializer[SavedFilter]):
    owner = serializers.SlugRelatedField[User](slug_field="username", read_only=True)

    class Meta:
        model = SavedFilter
        fields = ["id", "list", "name", "query", "shared", "owner", "created_at"]
        read_only_fields = fields


class SavedFilterViewSet(ReadViewSet[SavedFilter]):
    """Saved filters: lists of the browser as somebody narrowed them, under a name."""

    resource = "saved-filters"
    queryset = SavedFilter.objects.select_related("owner")
    serializer_class = SavedFilterSerializer
    filterset_class = SavedFilterFilter
    orderings = ("-id", "id")
    lookup_value_regex = ID

    def get_queryset(self) -> QuerySet[SavedFilter]:
        user = self.request.user
        filters = super().get_queryset()
        # The description is made for nobody.
        if not isinstance(user, User):
            return filters.none()
        # What somebody looked for says something of what the list holds.
        seen = [listed for listed in SavedList.values if user.has_perm("{}.view_{}".format(*listed.split("_")))]
        return filters.seen_by(user).filter(list__in=seen)  # type: ignore[attr-defined,no-any-return]
