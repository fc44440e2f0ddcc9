"""Private files: whole or not at all, for their owner alone, and still there after a power cut."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from inventory.private_files import write_draft, write_once, write_whole

WRITERS = [write_whole, write_once]


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_is_for_its_owner_alone_whatever_the_umask(tmp_path, write):
    before = os.umask(0)
    try:
        write(tmp_path / "secret", b"content")
    finally:
        os.umask(before)
    assert (tmp_path / "secret").read_bytes() == b"content"
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("write", WRITERS)
def test_no_draft_is_left_beside_the_file(tmp_path, write):
    write(tmp_path / "secret", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


@pytest.mark.parametrize("write", WRITERS)
def test_a_write_that_fails_leaves_no_draft(tmp_path, write):
    (tmp_path / "secret").mkdir()
    with pytest.raises(OSError, match="secret"):
        write(tmp_path / "secret", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_full_disk_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    write_whole(tmp_path / "secret", b"old")

    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "secret", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize("write", WRITERS)
def test_bytes_are_synced_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch, write):
    synced = []

    def note(descriptor: int) -> None:
        of_a_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        synced.append(("directory" if of_a_directory else "file", (tmp_path / "secret").exists()))

    monkeypatch.setattr(os, "fsync", note)
    write(tmp_path / "secret", b"content")
    assert synced == [("file", False), ("directory", True)]


def test_a_file_written_once_is_never_written_over(tmp_path):
    write_once(tmp_path / "secret", b"first")
    with pytest.raises(FileExistsError):
        write_once(tmp_path / "secret", b"second")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"first"]


def test_of_many_writers_of_one_file_a_reader_sees_one_whole(tmp_path):
    path = tmp_path / "secret"
    contents = [bytes([number]) * 100_000 for number in range(8)]
    write_whole(path, contents[0])
    with ThreadPoolExecutor(8) as threads:
        writing = [threads.submit(write_whole, path, content) for content in contents * 3]
        while not all(write.done() for write in writing):
            assert path.read_bytes() in contents
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


def test_a_draft_is_beside_its_file_and_hidden(tmp_path):
    draft = write_draft(tmp_path / "secret", b"content")
    assert draft.parent == tmp_path
    assert draft.name.startswith(".secret.")
