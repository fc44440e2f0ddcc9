"""Items got ahead of their use by another thread: the same ones in the same order, and no thread is left behind."""

import threading

import pytest

from inventory.importing.parsing.process_pool import ahead


def test_items_come_in_order_and_a_failure_at_its_place():
    def items():
        yield from range(5)
        raise OSError("the disk is gone")

    found = ahead(items())
    assert [next(found) for _ in range(5)] == list(range(5))
    with pytest.raises(OSError, match="the disk is gone"):
        next(found)


def test_no_more_is_read_ahead_than_one_item_and_the_one_in_hand():
    read = []

    def items():
        for number in range(1000):
            read.append(number)
            yield number

    before = threading.active_count()
    found = ahead(items())
    assert next(found) == 0
    found.close()
    assert threading.active_count() == before
    assert len(read) <= 3
