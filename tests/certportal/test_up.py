"""The banner of `manage.py up`: where to log in, and with which password."""

import pytest

from certportal.management.commands.up import Command


@pytest.fixture
def home(tmp_path, settings):
    settings.HOME, settings.ADMIN_PASSWORD = tmp_path, ""
    return tmp_path


def login(*, is_first: bool) -> str:
    return next(line for line in Command()._welcome(is_first).splitlines() if "user admin" in line)


def test_the_first_start_ends_with_the_password_and_later_ones_name_its_file(home):
    (home / "admin-password").write_text("a-generated-one\n")
    assert login(is_first=True).endswith("password a-generated-one")
    assert login(is_first=False).endswith(f"password in {home}/admin-password")


def test_a_password_that_somebody_chose_is_not_shown(home, settings):
    assert login(is_first=True).endswith("password as set at the first start")
    settings.ADMIN_PASSWORD = "chosen by somebody"
    assert "chosen by" not in Command()._welcome(is_first=True)
