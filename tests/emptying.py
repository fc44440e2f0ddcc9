"""Leaving no row behind a test that commits.

Django's own way is `flush`: it truncates every table and makes content types and permissions anew, half a second for
each of these tests. Here only tables that hold rows are truncated, and what the migrations left is looked at.
"""

from collections.abc import Iterable

from django.core.management import call_command
from django.db import connection
from django.test import TransactionTestCase

_left_by_migrations: dict[str, str] = {}


class CommittingTestCase(TransactionTestCase):
    """A test whose transactions commit, as pytest-django makes one for `django_db(transaction=True)`."""

    def _fixture_teardown(self) -> None:
        empty()


def remember() -> None:
    """Note what a new database holds: content types, permissions and whatever else its migrations write."""
    _left_by_migrations.update(_digests(_with_rows()))


def empty() -> None:
    """Bring the database back to what was remembered; by `flush` when a test changed some of that."""
    if _digests(_left_by_migrations) != _left_by_migrations:
        call_command("flush", verbosity=0, interactive=False)
        return
    written = [_quoted(table) for table in _with_rows() if table not in _left_by_migrations]
    if written:
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {', '.join(written)} CASCADE")


def _with_rows() -> list[str]:
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return [table for (table,) in _of_each(tables, "SELECT '{}' WHERE EXISTS (SELECT FROM {})")]


def _digests(tables: Iterable[str]) -> dict[str, str]:
    return dict(_of_each(tables, "SELECT '{}', md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM {} t"))


def _of_each(tables: Iterable[str], question: str) -> list[tuple[str, ...]]:
    """Ask `question` of each table, its name in the first gap and the table in the second, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(question.format(table, _quoted(table)) for table in tables))
        return cursor.fetchall()


def _quoted(table: str) -> str:
    return connection.ops.quote_name(table)
