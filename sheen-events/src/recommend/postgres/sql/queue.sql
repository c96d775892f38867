SELECT
    sheen.now_ms() AS now_ms,
    q.version AS queue_version,
    (SELECT count(*) FROM sheen.recommendations AS w WHERE w.phase = 'running') AS running,
    ARRAY(
        SELECT s.started_ms FROM sheen.recommendations AS s
        WHERE s.started_ms > sheen.now_ms() - 60000
        ORDER BY s.started_ms
    ) AS starts,
    r.project_id, r.session_id, r.version, r.user_id, r.build_id, r.locale, r.quick, r.phase,
    r.items, r.error, r.attempt, r.requested_ms, r.started_ms, r.ended_ms, r.told, r.closed
FROM sheen.recommend_queue AS q
LEFT JOIN LATERAL (
    SELECT o.* FROM sheen.recommendations AS o
    WHERE o.phase = 'queued'
    ORDER BY o.place
    LIMIT 1
) AS r ON true
WHERE q.queue = 1
