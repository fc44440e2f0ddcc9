"""How a trigger finds the device of each row: by its key, whatever PostgreSQL believes about the table.

It keeps the plan of a trigger's first call: a join that suits one row must suit a hundred thousand, so they are
lateral. And it may believe that devices fill one page, or that there are none, since vacuum came during the first
load. Then to read them all for each row, or an index in which the key is not first, looks as good as the key.
"""

# A range, because of one value PostgreSQL takes any index: only the primary key gives a range in order without a sort.
BY_KEY = "id BETWEEN device_id AND device_id ORDER BY id LIMIT 1"
NO_OTHER_PLAN = "SET enable_seqscan = off SET enable_sort = off"
