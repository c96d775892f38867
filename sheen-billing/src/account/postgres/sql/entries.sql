SELECT
    e.number, e.kind, e.bucket, e.from_place, e.to_place, e.seconds, e.reservation_id, e.operation,
    e.created_ms
FROM sheen.credit_entries e
WHERE e.user_id = $1 AND e.number > $2
ORDER BY e.number
LIMIT $3
