"""The groups that a first start makes."""

from django.contrib.auth.models import Group

from certportal import roles


def test_the_roles_are_made_once_and_stay_as_somebody_changes_them(db):
    assert roles.make_missing() == list(roles.ROLES)
    viewer = Group.objects.get(name="viewer")
    viewer.permissions.clear()
    assert roles.make_missing() == []
    assert not viewer.permissions.exists()
    Group.objects.get(name="field").delete()
    assert roles.make_missing() == ["field"]
