"""The triggers that count targets as they are written. docs/decisions/counters.md"""

_ADDED = "SELECT campaign_id, state, 1 AS number FROM new_rows"
_TAKEN = "SELECT campaign_id, state, -1 AS number FROM old_rows"
_TRIGGERS = {
    "INSERT": ("NEW TABLE AS new_rows", _ADDED),
    "UPDATE": ("OLD TABLE AS old_rows NEW TABLE AS new_rows", f"{_ADDED} UNION ALL {_TAKEN}"),
    "DELETE": ("OLD TABLE AS old_rows", _TAKEN),
}

COUNT = "".join(
    f"""
CREATE FUNCTION renewal_count_targets_on_{event.lower()}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO renewal_targetcount (campaign_id, state, number)
    SELECT campaign_id, state, sum(number) FROM ({changed}) changed GROUP BY 1, 2 HAVING sum(number) <> 0;
    RETURN NULL;
END
$$;
CREATE TRIGGER count_{event.lower()} AFTER {event} ON renewal_target
    REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION renewal_count_targets_on_{event.lower()}();
"""
    for event, (tables, changed) in _TRIGGERS.items()
)
COUNT += """
CREATE FUNCTION renewal_count_truncated_targets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM renewal_targetcount;
    RETURN NULL;
END
$$;
CREATE TRIGGER count_truncation AFTER TRUNCATE ON renewal_target
    FOR EACH STATEMENT EXECUTE FUNCTION renewal_count_truncated_targets();
-- Rows come and go: what is left of them lies in the way of every reader.
ALTER TABLE renewal_targetcount SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
"""

FORGET = "".join(f"DROP FUNCTION renewal_count_targets_on_{event.lower()}() CASCADE;" for event in _TRIGGERS)
FORGET += "DROP FUNCTION renewal_count_truncated_targets() CASCADE;"

# Those of before the triggers. Nobody who writes targets waits while they are read, for counts add up.
COUNT_THOSE_BEFORE = """
INSERT INTO renewal_targetcount (campaign_id, state, number)
SELECT campaign_id, state, sum(number)
FROM (
    SELECT campaign_id, state, count(*) AS number FROM renewal_target GROUP BY 1, 2
    UNION ALL
    SELECT campaign_id, state, -number FROM renewal_targetcount
) numbers
GROUP BY 1, 2 HAVING sum(number) <> 0"""
