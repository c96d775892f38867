SELECT
    sheen.now_ms() AS now_ms,
    (SELECT count(*) FROM sheen.recommendations AS w WHERE w.phase = 'queued') AS waiting,
    r.project_id, r.session_id, r.version, r.user_id, r.build_id, r.locale, r.quick, r.phase,
    r.items, r.error, r.attempt, r.requested_ms, r.started_ms, r.ended_ms, r.told, r.closed
FROM (VALUES (1)) AS one (row)
LEFT JOIN sheen.recommendations AS r ON r.project_id = $1 AND r.session_id = $2
