SELECT
    e.seq,
    e.event_type,
    e.data,
    e.created_ms
FROM sheen.events AS e
WHERE e.build_id = $1
    AND (
        (e.seq > $2 AND e.seq <= $3)
        OR (e.seq >= -($5::bigint) AND e.seq < -($4::bigint))
    )
ORDER BY e.created_ms
