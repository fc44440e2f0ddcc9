import os

from certportal import child_logs


def test_a_large_log_is_moved_aside_and_its_writer_goes_on_in_the_emptied_file(tmp_path):
    log = tmp_path / "worker.log"
    writer = child_logs.open_for_append(log)
    os.write(writer, b"old\n" * 10)
    child_logs.rotate_when_large(log, largest=39)
    os.write(writer, b"new\n")
    os.close(writer)
    assert (tmp_path / "worker.log.1").read_bytes() == b"old\n" * 10
    assert log.read_bytes() == b"new\n"


def test_a_small_log_stays(tmp_path):
    log = tmp_path / "worker.log"
    log.write_bytes(b"x" * 40)
    child_logs.rotate_when_large(log, largest=40)
    assert not (tmp_path / "worker.log.1").exists()
