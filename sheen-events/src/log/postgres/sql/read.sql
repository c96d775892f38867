SELECT
    s.build_id,
    s.user_id,
    s.session_id,
    s.epoch,
    s.head,
    s.floor,
    s.closed,
    s.ended_by,
    e.seq,
    e.event_type,
    e.data,
    e.created_ms
FROM sheen.event_streams AS s
LEFT JOIN LATERAL (
    SELECT v.seq, v.event_type, v.data, v.created_ms
    FROM sheen.events AS v
    WHERE v.build_id = s.build_id AND v.user_id = s.user_id AND v.user_visible AND v.seq > $2
    ORDER BY v.seq
    LIMIT $3
) AS e ON true
WHERE s.build_id = $1
ORDER BY e.seq
