"""Statements that move targets, and the row that each move leaves behind."""


def moving(update: str) -> str:
    """Return the statement that does `update`, an UPDATE of `renewal_target target`, and writes a move for each row.

    It counts as many rows as were moved, and takes the parameter `now` too.
    """
    return f"""
        WITH moved AS ({update} RETURNING target.id, target.state, target.reason)
        INSERT INTO renewal_targetmove (target_id, at, state, reason)
        SELECT id, %(now)s, state, reason FROM moved ORDER BY id"""  # noqa: S608 - statements of ours
