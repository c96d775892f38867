SELECT
    s.build_id,
    s.user_id,
    s.session_id,
    s.epoch,
    s.head,
    s.hidden_head,
    s.floor,
    s.closed,
    s.ended_by,
    e.seq,
    e.event_type,
    e.data,
    e.created_ms
FROM sheen.event_streams AS s
LEFT JOIN LATERAL (
    -- Each half is a walk along the primary key; instants grow along both.
    SELECT * FROM (
        (
            SELECT v.seq, v.event_type, v.data, v.created_ms
            FROM sheen.events AS v
            WHERE v.build_id = s.build_id AND v.seq > greatest($2::bigint, 0)
            ORDER BY v.seq
            LIMIT $4
        )
        UNION ALL
        (
            SELECT h.seq, h.event_type, h.data, h.created_ms
            FROM sheen.events AS h
            WHERE h.build_id = s.build_id AND h.seq < -greatest($3::bigint, 0)
            ORDER BY h.seq DESC
            LIMIT $4
        )
    ) AS both_kinds
    ORDER BY both_kinds.created_ms
    LIMIT $4
) AS e ON true
WHERE s.build_id = $1
ORDER BY e.created_ms
