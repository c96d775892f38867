SELECT
    r.project_id, r.session_id, r.version, r.user_id, r.build_id, r.locale, r.quick, r.phase,
    r.items, r.error, r.attempt, r.requested_ms, r.started_ms, r.ended_ms, r.told, r.closed
FROM sheen.recommendations AS r
WHERE r.project_id = $1 AND r.user_id = $2
ORDER BY r.place DESC
LIMIT 1
