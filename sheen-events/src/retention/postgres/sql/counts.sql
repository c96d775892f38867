SELECT
    (c.day - date '1970-01-01')::bigint AS day,
    c.event_type,
    c.user_visible,
    c.events
FROM sheen.event_daily_counts AS c
WHERE c.day BETWEEN date '1970-01-01' + $1::bigint::int AND date '1970-01-01' + $2::bigint::int
ORDER BY c.day, c.event_type, c.user_visible
