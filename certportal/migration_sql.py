"""Which SQL would hold up a portal in use if a migration ran it on a large table. Pure: statements in, sentences out.

PostgreSQL 15, sections ALTER TABLE, CREATE INDEX and "Explicit Locking" of its manual: what reads or writes a whole
table while it holds a lock that writers wait for.
"""

import re
from collections.abc import Collection, Iterable, Iterator

_NAME = r'(?:ONLY\s+)?(?:IF\s+EXISTS\s+)?(?:"?public"?\.)?"?(?P<table>\w+)"?'
_CREATE_INDEX = re.compile(
    rf"CREATE\s+(?:UNIQUE\s+)?INDEX\s+(?P<concurrently>CONCURRENTLY\s+)?.*?\bON\s+{_NAME}", re.I | re.S
)
_DROP_INDEX = re.compile(r"DROP\s+INDEX\s+(?P<concurrently>CONCURRENTLY\b)?", re.I)
_REINDEX = re.compile(r"REINDEX\b(?!.*\bCONCURRENTLY\b)", re.I | re.S)
_ALTER_TABLE = re.compile(rf"ALTER\s+TABLE\s+{_NAME}\s+(?P<actions>.*)", re.I | re.S)
_WRITES_ROWS = re.compile(rf"(?P<verb>UPDATE|DELETE\s+FROM|TRUNCATE(?:\s+TABLE)?)\s+{_NAME}", re.I)
_REWRITES = re.compile(rf"(?P<verb>CLUSTER|VACUUM\s+\(?FULL\)?|LOCK(?:\s+TABLE)?)\s+(?:VERBOSE\s+)?{_NAME}", re.I)
_ADD_CONSTRAINT = re.compile(
    r"ADD\s+(?:CONSTRAINT\s+\S+\s+)?(?:CHECK|UNIQUE|PRIMARY\s+KEY|FOREIGN\s+KEY|EXCLUDE)\b", re.I
)
_ADD_COLUMN = re.compile(r"ADD\s+(?:COLUMN\s+)?(?!CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN|EXCLUDE)\w+", re.I)
_DEFAULT_CALLS = re.compile(r"\bDEFAULT\b[^,]*\(", re.I)
_STEADY_CALLS = re.compile(r"\b(?:now|statement_timestamp|transaction_timestamp)\s*\(\s*\)", re.I)
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_DOLLAR_QUOTED = re.compile(r"\$(\w*)\$.*?\$\1\$", re.S)


def problems(statements: Iterable[str], large_tables: Collection[str], *, atomic: bool) -> Iterator[str]:
    """Yield a sentence for each statement that is not safe; `atomic`: whether they are one transaction."""
    for statement in statements:
        yield from _of_statement(statement.strip().rstrip(";"), large_tables, atomic=atomic)


def _of_statement(statement: str, large: Collection[str], *, atomic: bool) -> Iterator[str]:
    if re.match(r"DO\b", statement, re.I):
        yield "A DO block hides what it does to tables: write the statements."
        return
    # What a function does, it does when it is called.
    text = _LITERAL.sub("''", _DOLLAR_QUOTED.sub("''", statement))
    if found := _CREATE_INDEX.match(text):
        if not found["concurrently"] and found["table"] in large:
            yield f"CREATE INDEX on {found['table']} without CONCURRENTLY holds up every writer while it reads."
        if found["concurrently"] and atomic:
            yield "CREATE INDEX CONCURRENTLY cannot run in a transaction: set atomic = False."
    elif found := _DROP_INDEX.match(text):
        if not found["concurrently"]:
            yield "DROP INDEX without CONCURRENTLY waits for every reader, and all others wait behind it."
        elif atomic:
            yield "DROP INDEX CONCURRENTLY cannot run in a transaction: set atomic = False."
    elif _REINDEX.match(text):
        yield "REINDEX without CONCURRENTLY holds up every writer."
    elif (found := _ALTER_TABLE.match(text)) and found["table"] in large:
        yield from _of_actions(found["table"], found["actions"], atomic=atomic)
    elif (found := _WRITES_ROWS.match(text)) and found["table"] in large:
        yield (
            f"{found['verb'].upper()} of {found['table']} in one statement holds its rows to the end and bloats the "
            "table: let a job do it in batches."
        )
    elif (found := _REWRITES.match(text)) and found["table"] in large:
        yield f"{found['verb'].upper()} of {found['table']} keeps everybody out."


def _of_actions(table: str, actions: str, *, atomic: bool) -> Iterator[str]:
    validated = not re.search(r"\bNOT\s+VALID\b|\bUSING\s+INDEX\b", actions, re.I)
    if _ADD_CONSTRAINT.search(actions) and validated:
        yield (
            f"ADD CONSTRAINT on {table} reads it under a lock: add it NOT VALID and VALIDATE it by itself, or give a "
            "unique one an index that was made CONCURRENTLY (USING INDEX)."
        )
    if re.search(r"\bVALIDATE\s+CONSTRAINT\b", actions, re.I) and atomic:
        yield f"VALIDATE CONSTRAINT on {table} keeps the locks of this transaction while it reads: set atomic = False."
    if re.search(r"\bSET\s+NOT\s+NULL\b", actions, re.I):
        yield f"SET NOT NULL on {table} reads the table and keeps everybody out: validate a CHECK constraint instead."
    if re.search(r"\bALTER\s+(?:COLUMN\s+)?\S+\s+(?:SET\s+DATA\s+)?TYPE\b", actions, re.I):
        yield f"ALTER COLUMN TYPE rewrites {table} and keeps everybody out: add a column and fill it in batches."
    if _ADD_COLUMN.search(actions):
        if _DEFAULT_CALLS.search(_STEADY_CALLS.sub("", actions)):
            yield f"ADD COLUMN with a default that is called for each row rewrites {table}: give it a constant one."
        if re.search(r"\bNOT\s+NULL\b", actions, re.I) and not re.search(r"\bDEFAULT\b", actions, re.I):
            yield f"ADD COLUMN NOT NULL without DEFAULT on {table} fails for rows that there are."
