"""The embedded PostgreSQL takes its share of the memory that there is."""

import pytest

from certportal.embedded import memory
from certportal.embedded.postgres import shared_megabytes

GIGABYTE = 1 << 30


@pytest.mark.parametrize(
    ("gigabytes", "megabytes"), [(0.5, 256), (2, 256), (4, 512), (8, 1024), (64, 2048)], ids=lambda value: str(value)
)
def test_an_eighth_of_the_memory_within_bounds(gigabytes, megabytes):
    assert shared_megabytes(int(gigabytes * GIGABYTE)) == megabytes


def test_the_limit_of_a_container_counts_where_it_is_lower(tmp_path):
    limit = tmp_path / "memory.max"
    physical = memory.available_bytes(limit)
    limit.write_text("max\n")
    assert memory.available_bytes(limit) == physical
    limit.write_text(f"{physical * 2}\n")
    assert memory.available_bytes(limit) == physical
    limit.write_text("1073741824\n")
    assert memory.available_bytes(limit) == GIGABYTE
