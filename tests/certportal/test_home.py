import os

import pytest

from certportal import home


def test_a_home_is_closed_to_others(tmp_path):
    home.prepare(tmp_path / "home")
    expected = 0o711 if os.geteuid() == 0 else 0o700
    assert (tmp_path / "home").stat().st_mode & 0o777 == expected
    assert (tmp_path / "home" / "log").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_the_home_of_another_user_is_refused_by_name(tmp_path):
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(home.HomeRefused, match="belongs to user nobody, this process runs as root"):
        home.prepare(tmp_path)


def test_a_second_supervisor_is_refused_and_told_of_the_first(tmp_path):
    refused = pytest.raises(home.HomeRefused, match=f"already runs .*process {os.getpid()}")
    with home.held(tmp_path), refused, home.held(tmp_path):
        pytest.fail("two supervisors on one home")


def test_a_home_that_was_given_back_says_so(tmp_path):
    with home.held(tmp_path) as after_a_crash:
        assert not after_a_crash
    with home.held(tmp_path) as after_a_crash:
        assert not after_a_crash


def test_a_home_that_was_not_given_back_says_so(tmp_path):
    (tmp_path / "supervisor.lock").write_text("4711\n")
    with home.held(tmp_path) as after_a_crash:
        assert after_a_crash
