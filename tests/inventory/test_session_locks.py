"""Locks of a session: one holder at a time, and none after its session ended."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from inventory.session_locks import held, key_of
from tests.parallel import beside, until_blocked

pytestmark = pytest.mark.django_db(transaction=True)


def taken(name: str) -> bool:
    with held(key_of(name)) as alone:
        return alone


def test_a_lock_has_one_holder_and_another_name_is_another_lock():
    with ThreadPoolExecutor(1) as threads, held(key_of("tick campaign 1")) as alone:
        assert alone
        assert not beside(threads, lambda: taken("tick campaign 1")).result()
        assert beside(threads, lambda: taken("tick campaign 2")).result()


def test_a_lock_is_free_after_its_block_and_after_an_error_in_it():
    with pytest.raises(KeyError), held(key_of("sweep")):
        raise KeyError
    with ThreadPoolExecutor(1) as threads:
        assert beside(threads, lambda: taken("sweep")).result()


def test_who_waits_gets_the_lock_when_the_holder_lets_go():
    def wait() -> bool:
        with held(key_of("sweep"), wait=True) as alone:
            return alone

    with ThreadPoolExecutor(1) as threads:
        with held(key_of("sweep")):
            waiting = beside(threads, wait)
            until_blocked()
        assert waiting.result()


def test_a_session_that_was_ended_keeps_no_lock():
    def die() -> None:
        with held(key_of("sweep")):
            connection.connection.close()

    with ThreadPoolExecutor(1) as threads:
        beside(threads, die).result()
    assert taken("sweep")
