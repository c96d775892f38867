SELECT
    n.now_ms,
    r.project_id, r.session_id, r.version, r.user_id, r.build_id, r.locale, r.quick, r.phase,
    r.items, r.error, r.attempt, r.requested_ms, r.started_ms, r.ended_ms, r.told, r.closed
FROM (SELECT sheen.now_ms() AS now_ms) AS n
JOIN sheen.recommendations AS r ON NOT r.closed
    AND (
        (r.phase IN ('ready', 'failed') AND (NOT r.told OR r.ended_ms IS NOT NULL))
        OR r.ended_ms <= n.now_ms - $1
    )
ORDER BY r.place
LIMIT $2
