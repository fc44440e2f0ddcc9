"""Closed lists of words that the database holds a column to."""

from django.db import models


def known(column: str, function: str) -> models.Func:
    """Return the condition that `column` holds a word of the list in `function` (migrations/sql/vocabularies.py).

    For tables that are written all day. Whoever adds a word replaces the function in a migration.
    """
    return models.Func(models.F(column), function=function, output_field=models.BooleanField())
